"""Counting without computing: one trace, several named conventions."""

from sfic_bench.counting.conventions import CONVENTIONS, Convention, Total
from sfic_bench.counting.cost import Cost, Layer, Parameters, count
from sfic_bench.counting.op import Call, Op
from sfic_bench.counting.rules import InputTooSmall
from sfic_bench.counting.trace import Trace, smallest_input, trace

__all__ = [
    "CONVENTIONS",
    "Call",
    "Convention",
    "Cost",
    "InputTooSmall",
    "Layer",
    "Op",
    "Parameters",
    "Total",
    "Trace",
    "count",
    "smallest_input",
    "trace",
]
