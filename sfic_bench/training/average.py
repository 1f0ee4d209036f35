"""The exponential moving average of a network's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """A moving average of all that a network's state dict has, which is updated after each step.

    The decay of step n is at most (1 + n) / (10 + n), so that the first random weights are soon forgotten.

    Source: Polyak & Juditsky, SIAM J. Control Optim. 1992.

    Args:
        network: the network, on its device.
        decay: the decay a step, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._current = network.state_dict()  # the tensors themselves, which training changes
        self._average = {name: tensor.clone() for name, tensor in self._current.items()}
        self._floats = [name for name, tensor in self._current.items() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average; numbers that are no floats are copied."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        floats = [self._average[name] for name in self._floats]
        torch._foreach_lerp_(floats, [self._current[name] for name in self._floats], weight)
        for name, tensor in self._current.items():
            if not tensor.is_floating_point():
                self._average[name].copy_(tensor)

    @torch.no_grad()
    def exchange(self) -> None:
        """Give the network the average, and keep the network's weights; a second call undoes it."""
        for name, tensor in self._current.items():
            kept = tensor.clone()
            tensor.copy_(self._average[name])
            self._average[name].copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """The average by the network's names."""
        return dict(self._average)

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Take the average of a checkpoint after ``steps`` steps."""
        self.steps = steps
        for name, tensor in self._average.items():
            tensor.copy_(state[name])
