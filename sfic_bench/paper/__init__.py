"""What the paper printed, and the audit against it."""

from sfic_bench.paper.audit import (
    CLAIMS,
    Claim,
    Figures,
    Recomputed,
    Verdicted,
    audit,
    recompute,
    variants_needed,
)
from sfic_bench.paper.tables import AccuracyCell, Cell, accuracy_cells, cost_cells

__all__ = [
    "CLAIMS",
    "AccuracyCell",
    "Cell",
    "Claim",
    "Figures",
    "Recomputed",
    "Verdicted",
    "accuracy_cells",
    "audit",
    "cost_cells",
    "recompute",
    "variants_needed",
]
