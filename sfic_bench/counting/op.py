"""What a trace is made of."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

from sfic_bench.counting.formulas import Shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One way to call one operation, as shapes.

    A network makes few different calls, each many times, so a trace makes each of them once; they
    are told apart by identity.

    Attributes:
        kind: ``"conv"``, ``"batch_norm"``, ``"add"`` …; the same for a module and for the function.
        module: class name of the innermost module where it is one of `torch.nn`'s own, else ``""``:
            the call is *functional*, and counters that hook modules do not see it.
        parents: how many modules hold that module as a child; module-hooking counters count a
            shared one several times.
        in_functional: whether the called function is one of `torch.nn.functional`'s, a namespace
            that some counters patch, rather than `torch`'s or a tensor's method.
        input, output: shapes of the first tensor in and of the result.
        weight: shape of the weight, ``()`` without one.
        bias: whether a bias is added; for a norm, whether it has a weight and a bias.
        macs: multiply-adds of a convolution, linear or matrix product, without the bias; ``None``
            where the operation may contain some that nobody counts.
        elements_read: elements of all tensors read: inputs, weights and biases.
        elements_skipped: how many of those a convolution's stride jumps over, so that it need not read them.
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
        """For tallies: ``conv``, or ``conv (functional)`` where no module of `torch.nn` made the call."""
        return self.kind if self.module else f"{self.kind} (functional)"


class Op(NamedTuple):
    """A call as the forward pass makes it.

    ``path`` is the qualified name of the innermost module; ``""`` is the network itself.
    """

    path: str
    call: Call
