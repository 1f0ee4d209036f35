"""`Effect`, the answer of every shape rule, and what the rules share."""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from torch import Tensor

from sfic_bench.counting.formulas import Shape
from sfic_bench.errors import InvalidValue


class Effect(NamedTuple):
    """What one call of a torch function does, as shapes and numbers of elements.

    Attributes:
        kind: the operation, see `sfic_bench.counting.op.CountedCall`.
        input, output: shapes of the first tensor that goes in and of the result.
        read: elements of all tensors that the operation is given.
        weight: shape of the weight, ``()`` without one.
        bias: whether a bias is added; for a norm, whether it has a weight and a bias.
        macs: multiply-adds without the bias; ``None`` where the operation may contain some that nobody counts.
        skipped: how many of the elements in ``read`` no output depends on.
    """

    kind: str
    input: Shape
    output: Shape
    read: int
    weight: Shape = ()
    bias: bool = False
    macs: int | None = 0
    skipped: int = 0


ShapeRule = Callable[..., Effect]
"""Takes the arguments of the torch function that it stands for."""


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
