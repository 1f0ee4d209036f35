"""Space-frequency interactive convolution as layers, which can also be put into a network by hand."""

from sfic_bench.nn.mcs import MCSConv
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.split import Pair, Split, resize, scaled_size
from sfic_bench.nn.stages import ConvOptions, Stage1, Stage2, Stage3

__all__ = [
    "ConvOptions",
    "MCSConv",
    "Pair",
    "PerBranch",
    "Split",
    "Stage1",
    "Stage2",
    "Stage3",
    "resize",
    "scaled_size",
]
