"""Stage 2 as two calls of the operator."""

import operator
from typing import cast

from torch import Tensor, nn

from sfic_bench.kernels.activation import Activation
from sfic_bench.kernels.operator import interactive_conv
from sfic_bench.kernels.workload import Operands
from sfic_bench.nn.fused import ReducedStage2
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.recompute import Derived
from sfic_bench.nn.split import Pair, size_of
from sfic_bench.nn.stages import Stage2

MULTIPLE = 8
"""Channels come in multiples of this, so that rows of pixels in 16 bits are read 16 bytes at a time."""


def takes(stage: Stage2) -> bool:
    """Whether the kernel can compute ``stage`` at all sizes.

    It has all four convolutions, dense, of odd kernels, without dilation, padded so that they keep the size by
    themselves, and channels that are multiples of 8.
    """
    geometry = stage.geometry
    odd = all(k % 2 == 1 for k in geometry.kernel)
    convolutions = [getattr(stage, name) for row in stage.blocks for name in row]
    if not odd or geometry.dilation != (1, 1) or geometry.own_padding != tuple(k // 2 for k in geometry.kernel):
        return False
    return all(
        conv is not None and conv.groups == 1 and conv.in_channels % MULTIPLE == conv.out_channels % MULTIPLE == 0
        for conv in convolutions
    )


class KernelStage2(ReducedStage2):
    """Stage 2, the sum behind it and the activation behind that, by `interactive_conv`: one call for S, one for F.

    Attributes:
        activation: what is done to the result, which is part of the stage where nothing else reads it.
    """

    def __init__(self, stage: Stage2) -> None:
        super().__init__(stage)
        self.activation = Activation.NONE

    def forward(self, pair: Pair, residual: Pair | None = None) -> Pair:
        s, f = self._derived(pair.spatial).value, self._derived(pair.frequency).value
        if residual is None:
            return self._outputs(s, f, None, None, self.activation)
        if (size_of(residual.spatial), size_of(residual.frequency)) == (size_of(s), size_of(f)):
            return self._outputs(s, f, residual.spatial, residual.frequency, self.activation)
        # The sum resizes one of the two.
        total = cast(Pair, PerBranch(operator.add)(self._outputs(s, f, None, None, Activation.NONE), residual))
        return Pair(self.activation.of(total.spatial), self.activation.of(total.frequency))

    def _outputs(self, s: Tensor, f: Tensor, to_s: Tensor | None, to_f: Tensor | None, activation: Activation) -> Pair:
        return Pair(
            self._output(s, self.ss, f, self.fs, to_s, activation),
            self._output(f, self.ff, s, self.sf, to_f, activation),
        )

    def _output(
        self,
        own: Tensor,
        own_conv: nn.Conv2d | None,
        other: Tensor,
        other_conv: nn.Conv2d | None,
        residual: Tensor | None,
        activation: Activation,
    ) -> Tensor:
        assert own_conv is not None and other_conv is not None
        biases = [conv.bias for conv in (own_conv, other_conv) if conv.bias is not None]
        bias = sum(biases[1:], biases[0]) if biases else None
        operands = Operands(own, own_conv.weight, other, other_conv.weight, bias, residual)
        if operands.workload.is_cheaper_apart:
            convolutions = ((other_conv, Derived.of(other)), (own_conv, Derived.of(own)))
            return activation.of(self._sum_in_place(size_of(own), residual, *convolutions))
        return interactive_conv(*operands, activation)
