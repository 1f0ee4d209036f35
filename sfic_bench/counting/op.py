"""`Op` and `CountedCall`: the operations that a trace consists of."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

from sfic_bench.counting.formulas import Shape


@dataclass(frozen=True, kw_only=True, eq=False)
class CountedCall:
    """One way to call one operation, as shapes.

    A network makes few different calls, and each of them many times. So equal calls are one object, and two calls
    are equal only if they are the same object.

    Attributes:
        kind: ``"conv"``, ``"batch_norm"``, ``"add"`` …; the same for a module and for the function.
        module: class name of the innermost module if it is one of `torch.nn`'s own; otherwise ``""``, and the
            call is *functional*: counters that hook modules do not see it.
        parents: how many modules hold the innermost module as a child; counters that hook modules count a
            shared one several times.
        in_functional: whether the called function belongs to `torch.nn.functional`, whose functions
            some counters patch, and not to `torch` or to a tensor's methods.
        input, output: shapes of the first tensor that goes in and of the result.
        weight: shape of the weight, ``()`` without one.
        bias: whether a bias is added; for a norm, whether it has a weight and a bias.
        macs: multiply-adds of a convolution, linear or matrix product, without the bias; ``None``
            where the operation may contain some that nobody counts.
        elements_read: elements of inputs, weights and biases together.
        elements_skipped: how many of ``elements_read`` a convolution need not read, as its stride jumps over them.
    """

    kind: str
    module: str
    parents: int
    in_functional: bool
    input: Shape
    output: Shape
    weight: Shape
    bias: bool
    macs: int | None
    elements_read: int
    elements_skipped: int = 0

    @cached_property
    def elements_in(self) -> int:
        return prod(self.input)

    @cached_property
    def elements_out(self) -> int:
        return prod(self.output)

    @cached_property
    def label(self) -> str:
        """The name in tallies: ``conv``, or ``conv (functional)`` if no module of `torch.nn` makes the call."""
        return self.kind if self.module else f"{self.kind} (functional)"


class Op(NamedTuple):
    """One call in a forward pass.

    ``path`` is the qualified name of the innermost module; ``""`` is the network itself.
    """

    path: str
    call: CountedCall
