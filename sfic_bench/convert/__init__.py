"""Vanilla network + placement → SFIC network."""

from sfic_bench.convert.fuse import cheaper, fuse
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.parity import Parity, parity
from sfic_bench.convert.placement import RESNET, Placement, automatic, placement_of
from sfic_bench.convert.rewrite import OnUnsupported, Rewrite, Step
from sfic_bench.convert.sfic import set_beta, to_sfic

__all__ = [
    "RESNET",
    "OnUnsupported",
    "Parity",
    "Placement",
    "Rewrite",
    "Step",
    "automatic",
    "cheaper",
    "fuse",
    "graph_of",
    "parity",
    "placement_of",
    "set_beta",
    "to_sfic",
]
