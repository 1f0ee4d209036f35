"""What the paper printed, and the audit against it."""

from sfic_bench.paper.audit import CLAIMS, Claim, CountedNetwork, audit, recompute, variants_needed
from sfic_bench.paper.tables import (
    DETECTORS,
    PrintedAccuracy,
    PrintedCost,
    accuracy_cells,
    cost_cells,
    printed_at,
)

__all__ = [
    "CLAIMS",
    "DETECTORS",
    "Claim",
    "CountedNetwork",
    "PrintedAccuracy",
    "PrintedCost",
    "accuracy_cells",
    "audit",
    "cost_cells",
    "printed_at",
    "recompute",
    "variants_needed",
]
