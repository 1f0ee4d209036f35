"""Which parameters the result of a forward pass depends on: where a gradient would flow."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One parameter tensor.

    Attributes:
        module, name: qualified name of the module that owns it, and its name there.
        elements: how many numbers it holds.
        trainable: whether it requires a gradient.
        dead: whether it is trainable and no gradient from the result reaches it.
    """

    module: str
    name: str
    elements: int
    trainable: bool
    dead: bool


class Flow:
    """Which tensor was computed from which, as far as a gradient would flow back."""

    def __init__(self) -> None:
        self._sources: dict[int, list[int]] = {}
        self._results: list[Tensor] = []  # keeps ids from being used again

    def link(self, sources: list[Tensor], result: Tensor) -> None:
        """Note that ``result`` was computed from ``sources``, if a gradient would flow through that operation."""
        if not torch.is_grad_enabled() or not (result.is_floating_point() or result.is_complex()):
            return
        self._results.append(result)
        self._sources.setdefault(id(result), []).extend([id(t) for t in sources])

    def reached_from(self, outputs: list[Tensor]) -> set[int]:
        """Ids of all tensors that ``outputs`` depend on."""
        reached: set[int] = set()
        front = [id(t) for t in outputs]
        while front:
            tensor = front.pop()
            if tensor not in reached:
                reached.add(tensor)
                front += self._sources.get(tensor, ())
        return reached


def weights_of(modules: Mapping[str, nn.Module], reached: set[int]) -> tuple[Weight, ...]:
    """Every parameter of ``modules`` once, dead where it is trainable and not among ``reached``."""
    weights: dict[int, Weight] = {}
    for path, module in modules.items():
        for name, p in module._parameters.items():
            if p is not None and id(p) not in weights:
                weights[id(p)] = Weight(
                    module=path,
                    name=name,
                    elements=p.numel(),
                    trainable=p.requires_grad,
                    dead=p.requires_grad and id(p) not in reached,
                )
    return tuple(weights.values())
