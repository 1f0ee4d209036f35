"""Cheap operations done twice, so that their results need not stay in memory until the backward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Derived:
    """A tensor, and how to compute it anew: ``steps`` lead from ``source`` to ``value``."""

    value: Tensor
    source: Tensor
    steps: tuple[Callable[[Tensor], Tensor], ...] = ()

    @classmethod
    def of(cls, x: Tensor) -> Self:
        return cls(x, x)

    def then(self, step: Callable[[Tensor], Tensor]) -> "Derived":
        value = step(self.value)
        return self if value is self.value else Derived(value, self.source, (*self.steps, step))

    def into(self, conv: Callable[[Tensor], Tensor]) -> Tensor:
        """``conv(value)``, which keeps the source for its backward pass instead of the value.

        This saves memory where something else keeps the source anyway, as an activation function keeps
        its result. Gradients are the same, also those of higher order. Under `torch.compile` this is
        ``conv(value)`` and nothing else, because a compiler recomputes by itself.

        Raises:
            RuntimeError: in the backward pass, if the source has been changed in place since.
        """
        if not self.steps or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return conv(self.value)
        value = [self.value]
        source, version, steps = self.source.detach(), self.source._version, self.steps

        def compute_again() -> Tensor:
            if source._version != version:
                raise RuntimeError(
                    "the input of a fused stage was changed in place after the stage had read it, and its "
                    "backward pass needs it unchanged: make that operation out of place"
                )
            x = source
            with torch.no_grad():
                for step in steps:
                    x = step(x)
            return x

        def pack(saved: Tensor) -> Tensor | Callable[[], Tensor]:
            is_value = value and saved.data_ptr() == value[0].data_ptr() and saved.shape == value[0].shape
            return compute_again if is_value else saved

        def unpack(saved: Tensor | Callable[[], Tensor]) -> Tensor:
            return saved if isinstance(saved, Tensor) else saved()

        try:
            with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
                return conv(value[0])
        finally:
            value.clear()  # autograd holds on to its hooks, which must not hold on to the value
