"""A training step in its parts: forward pass with the loss, backward pass, and the optimiser's step.

All makers of `sfic_bench.measure.execution` run the first two; the third is the same on every path.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Output = Tensor | tuple[Tensor, ...]
"""What a network returns."""

FORWARD, BACKWARD, OPTIMISER = "forward", "backward", "optimiser"
"""The names of the parts."""


def tensors_of(result: Output) -> tuple[Tensor, ...]:
    """The tensors of a network's result, without those that have no elements."""
    return tuple(t for t in ((result,) if isinstance(result, Tensor) else result) if t.numel())


class TrainingStep:
    """A forward and a backward pass with fresh gradients of ``leaves``; the loss is the mean square of the result."""

    def __init__(self, forward: Callable[..., Output], inputs: tuple[Tensor, ...], leaves: Iterable[Tensor]) -> None:
        self._forward, self._inputs, self._leaves = forward, inputs, tuple(leaves)
        self._result: tuple[Tensor, ...] = ()
        self._loss: Tensor | None = None

    def __call__(self) -> Output:
        self.forward()
        return self.backward()

    def forward(self) -> None:
        """Drop the gradients, and compute the result and the loss."""
        for leaf in self._leaves:
            leaf.grad = None
        self._result = tensors_of(self._forward(*self._inputs))
        # The mean is over all elements together, so that S and F weigh as much as in one tensor that joins them.
        elements = sum(t.numel() for t in self._result)
        self._loss = torch.stack([t.float().square().sum() for t in self._result]).sum() / elements

    def backward(self) -> Output:
        """Compute the gradients of the last `forward`, and return its result."""
        assert self._loss is not None
        loss, result, self._loss, self._result = self._loss, self._result, None, ()
        loss.backward()  # type: ignore[no-untyped-call]
        return tuple(t.detach() for t in result)


def stepping_adam(model: nn.Module) -> torch.optim.Optimizer | None:
    """The trainer's Adam, fused, after its first step on ``model``; ``None`` if its moments find no memory.

    Its learning rate is 0: it reads and writes what it does with any other, and leaves each weight as it was checked,
    so that no time depends on how far a network has been trained.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=0.0, fused=True)
    try:
        optimiser.step()
    except (RuntimeError, MemoryError):  # devices that have no fused Adam, and those that have no memory for it
        return None
    return optimiser


def moments_bytes(optimiser: torch.optim.Optimizer) -> int:
    """Bytes of what ``optimiser`` keeps from step to step."""
    states = optimiser.state.values()
    return sum(value.nbytes for state in states for value in state.values() if isinstance(value, Tensor))
