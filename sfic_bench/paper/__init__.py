"""What the paper printed, and the audit against it."""

from sfic_bench.paper.audit import (
    CLAIMS,
    Claim,
    Figures,
    Recomputed,
    Verdict,
    Verdicted,
    audit,
    recompute,
    variants_needed,
)
from sfic_bench.paper.tables import DETECTORS, AccuracyCell, Cell, accuracy_cells, cost_cells, printed_at

__all__ = [
    "CLAIMS",
    "DETECTORS",
    "AccuracyCell",
    "Cell",
    "Claim",
    "Figures",
    "Recomputed",
    "Verdict",
    "Verdicted",
    "accuracy_cells",
    "audit",
    "cost_cells",
    "printed_at",
    "recompute",
    "variants_needed",
]
