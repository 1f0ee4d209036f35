"""The figures that the paper prints, and their audit."""

from sfic_bench.paper.audit import CLAIMS, CountedNetwork, audit, recompute, variants_needed
from sfic_bench.paper.tables import DETECTORS, PrintedAccuracy, accuracy_cells, cost_cells, printed_at

__all__ = [
    "CLAIMS",
    "DETECTORS",
    "CountedNetwork",
    "PrintedAccuracy",
    "accuracy_cells",
    "audit",
    "cost_cells",
    "printed_at",
    "recompute",
    "variants_needed",
]
