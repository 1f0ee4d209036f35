"""The conversion of a vanilla network into an SFIC network, and its fusion into cheaper operations."""

from sfic_bench.convert.engine import convert, set_beta, to_sfic
from sfic_bench.convert.fuse import cheaper, fuse
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.operation import ExplainedOperation
from sfic_bench.convert.options import ConversionOptions, Placement
from sfic_bench.convert.parity import Parity, parity
from sfic_bench.convert.placement import automatic, placement_of

__all__ = [
    "ConversionOptions",
    "ExplainedOperation",
    "Parity",
    "Placement",
    "automatic",
    "cheaper",
    "convert",
    "fuse",
    "graph_of",
    "parity",
    "placement_of",
    "set_beta",
    "to_sfic",
]
