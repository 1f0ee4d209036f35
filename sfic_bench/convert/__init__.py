"""Vanilla network + placement → SFIC network."""

from sfic_bench.convert.fuse import cheaper, fuse
from sfic_bench.convert.parity import Parity, parity
from sfic_bench.convert.placement import RESNET, Placement, placement_of
from sfic_bench.convert.rewrite import graph_of, set_beta, to_sfic

__all__ = [
    "RESNET",
    "Parity",
    "Placement",
    "cheaper",
    "fuse",
    "graph_of",
    "parity",
    "placement_of",
    "set_beta",
    "to_sfic",
]
