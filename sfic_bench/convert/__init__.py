"""The conversion of a vanilla network into an SFIC network, and its fusion into cheaper operations."""

from sfic_bench.convert.blueprint import Blueprint
from sfic_bench.convert.cheaper import cheaper
from sfic_bench.convert.engine import at_beta, convert, set_beta, to_sfic
from sfic_bench.convert.fuse import fuse, fused_blueprint
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.operation import ExplainedOperation
from sfic_bench.convert.options import ConversionOptions, Placement
from sfic_bench.convert.parity import Parity, VanillaParameters, parity
from sfic_bench.convert.placement import automatic, placement_of
from sfic_bench.convert.prototypes import Prototypes

__all__ = [
    "Blueprint",
    "ConversionOptions",
    "ExplainedOperation",
    "Parity",
    "Placement",
    "Prototypes",
    "VanillaParameters",
    "at_beta",
    "automatic",
    "cheaper",
    "convert",
    "fuse",
    "fused_blueprint",
    "graph_of",
    "parity",
    "placement_of",
    "set_beta",
    "to_sfic",
]
