"""Counting what a network costs without computing it: one trace, several named conventions."""

from sfic_bench.counting.conventions import CONVENTIONS, Convention, Total
from sfic_bench.counting.cost import Cost, LayerCost, Parameters, count
from sfic_bench.counting.graph_counter import GraphCounter
from sfic_bench.counting.op import CountedCall, InputTooSmall, Op
from sfic_bench.counting.records import Records
from sfic_bench.counting.trace import Trace, smallest_input, trace

__all__ = [
    "CONVENTIONS",
    "Convention",
    "Cost",
    "CountedCall",
    "GraphCounter",
    "InputTooSmall",
    "LayerCost",
    "Op",
    "Parameters",
    "Records",
    "Total",
    "Trace",
    "count",
    "smallest_input",
    "trace",
]
