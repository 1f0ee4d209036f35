"""Operations as shapes: what a shape rule answers (`Effect`), and what a trace consists of (`CountedCall`, `Op`)."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

from torch import Tensor

from sfic_bench.counting.formulas import Shape
from sfic_bench.errors import InvalidValue


@dataclass(frozen=True, eq=False)
class Effect:
    """What one call of a torch function does, as shapes and numbers of elements.

    Attributes:
        kind: ``"conv"``, ``"batch_norm"``, ``"add"`` …; the same for a module and for the function.
        input, output: shapes of the first tensor that goes in and of the result.
        elements_read: elements of inputs, weights and biases together.
        weight: shape of the weight, ``()`` without one.
        bias: whether a bias is added; for a norm, whether it has a weight and a bias.
        macs: multiply-adds of a convolution, linear layer or matrix product, without the bias; ``None`` where the
            operation may contain some that no rule counts.
        elements_skipped: how many of ``elements_read`` a convolution need not read, as its stride jumps over them.
    """

    kind: str
    input: Shape
    output: Shape
    elements_read: int
    weight: Shape = ()
    bias: bool = False
    macs: int | None = 0
    elements_skipped: int = 0


class MacsUnder(NamedTuple):
    """The MACs of one call under several conventions: with 0 where there is no rule, and with ``None`` there."""

    numbers: tuple[int, ...]
    macs: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class CountedCall(Effect):
    """An effect and where it is called. Most equal calls are one object, since a network makes each many times.

    Attributes:
        module: class name of the innermost module if it is one of `torch.nn`'s own; otherwise ``""``, and the
            call is *functional*: counters that hook modules do not see it.
        parents: how many modules hold the innermost module as a child; counters that hook modules count a
            shared one several times.
        in_functional: whether the called function belongs to `torch.nn.functional`, whose functions
            some counters patch, and not to `torch` or to a tensor's methods.
    """

    module: str
    parents: int
    in_functional: bool

    @cached_property
    def elements_in(self) -> int:
        return prod(self.input)

    @cached_property
    def elements_out(self) -> int:
        return prod(self.output)

    @cached_property
    def macs_by_conventions(self) -> dict[tuple[Hashable, ...], MacsUnder]:
        """The MACs under all conventions that have been asked together, see `sfic_bench.counting.conventions`."""
        return {}

    @cached_property
    def label(self) -> str:
        """The name in tallies: ``conv``, or ``conv (functional)`` if no module of `torch.nn` makes the call."""
        return self.kind if self.module else f"{self.kind} (functional)"


class Op(NamedTuple):
    """One call in a forward pass, and the qualified name of the innermost module (``""`` is the network itself)."""

    path: str
    call: CountedCall


class Recorded:
    """Operations that were recorded together, whose paths are relative to the module whose call was recorded."""

    def __init__(self, ops: tuple[Op, ...]) -> None:
        self.ops = ops


class Part(NamedTuple):
    """What was recorded of the module at ``path``, the qualified name in the network."""

    path: str
    recorded: Recorded


ShapeRule = Callable[..., Effect]
"""A function that takes the arguments of the torch function that it stands for."""


class InputTooSmall(InvalidValue):
    """The input has shrunk below one pixel somewhere inside the network."""


def shape_of(x: Tensor) -> Shape:
    """The shape of ``x`` as a plain tuple."""
    return tuple(x.shape)


def elements(*tensors: Tensor | None) -> int:
    """How many elements all ``tensors`` have together."""
    return sum(prod(t.shape) for t in tensors if t is not None)


def check_window(kind: str, x: Shape, output: Shape, dims: int) -> None:
    """Raise `InputTooSmall` if one of the last ``dims`` axes of ``output`` has no element left."""
    if min(output[-dims:]) < 1:
        size = "×".join(map(str, x[-dims:]))
        raise InputTooSmall(f"{kind} gets {size}, which is less than its window")
