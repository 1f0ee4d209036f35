"""The stages in fewer and cheaper convolutions, with the same results.

Write the four weights of Stage 2 as one block weight W = [[ss, fs], [sf, ff]], rows for outputs and
columns for inputs, S before F. Then, up to the order of additions:

1. Where F is as large as S (β = 1), the pair is one tensor [S; F] and Stage 2 *is* the dense convolution
   with W; so are Stage 3, with [[ss, fs]], and a depthwise Stage 2 (see `Dense`).
2. Otherwise nearest-neighbour reduction by an integer factor r keeps every r-th pixel, so that the
   convolution from S to F can have a stride of r (see `ReducedStage1` and `ReducedStage2`).
3. A 1×1 convolution and a resize commute, so that the resize can come first where it reduces.
4. In inference a BatchNorm scales the rows of W and adds a bias; a constant passes a resize unchanged.

State dicts have the names of the unfused stages, in both directions.
"""

from sfic_bench.nn.fused.joined import Dense, JoinedNorm, join_norms
from sfic_bench.nn.fused.reduced import ReducedStage1, ReducedStage2

__all__ = ["Dense", "JoinedNorm", "ReducedStage1", "ReducedStage2", "join_norms"]
