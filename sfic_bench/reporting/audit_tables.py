"""The audit of the paper's printed figures as tables."""

from collections.abc import Sequence
from typing import get_args

from sfic_bench.paper import DETECTORS
from sfic_bench.reporting.columns import Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.audit import AuditResult, AuditRow, AuditVerdict, ClaimRow, ParityRow, UnprintedRow
from sfic_bench.units import format_ratio

PRINTED_COLUMNS: tuple[Cells[AuditRow], ...] = (
    Cells("table", lambda row: row.table, number=False),
    Cells("model", lambda row: row.model, number=False),
    Cells("α", lambda row: format_ratio(row.alpha)),
    Cells("β", lambda row: format_ratio(row.beta)),
    Cells("figure", lambda row: row.quantity, number=False),
    Cells("printed", lambda row: row.printed),
    Cells("counted", lambda row: f"{row.measured:,}"),
    Cells("verdict", lambda row: row.verdict, number=False),
)
NOTE_COLUMN: Cells[AuditRow] = Cells("note", lambda row: row.note, number=False)
UNPRINTED_COLUMNS: tuple[Cells[UnprintedRow], ...] = (
    Cells("backbone", lambda row: row.backbone, number=False),
    Cells("α", lambda row: format_ratio(row.alpha)),
    Cells("β", lambda row: format_ratio(row.beta)),
    Cells("params", lambda row: f"{row.params:,}"),
    Cells("macs", lambda row: f"{row.macs:,}"),
)
CLAIM_COLUMNS: tuple[Cells[ClaimRow], ...] = (
    Cells("section", lambda row: row.section, number=False),
    Cells("the paper says", lambda row: row.stated, number=False),
    Cells("from", lambda row: row.before, number=False),
    Cells("to", lambda row: row.after, number=False),
    Cells("real\nreduction", lambda row: f"{row.reduction_percent:.2f}%"),
    Cells("(from − to)\n/ to", lambda row: f"{row.over_after_percent:.2f}%"),
)


def audit_tables(result: AuditResult) -> list[Table]:
    """The tables that ``audit`` prints."""
    claims_note = (
        "real reduction: (from − to) / from, of counted MACs; the last column, of printed "
        "figures, shows that the paper divides by the smaller network's MACs"
    )
    return [
        _printed(result.rows),
        tabulated("Counted, without a printed figure", UNPRINTED_COLUMNS, result.unprinted),
        _parity(result.parity),
        tabulated("Percentages that the paper states in words", CLAIM_COLUMNS, result.claims, notes=[claims_note]),
    ]


def count_verdicts(rows: Sequence[AuditRow]) -> dict[AuditVerdict, int]:
    """How many figures have each verdict, in the order of `AuditVerdict`."""
    return {verdict: sum(row.verdict == verdict for row in rows) for verdict in get_args(AuditVerdict)}


def _printed(rows: Sequence[AuditRow]) -> Table:
    own = [row for row in rows if row.quantity == "macs" and row.model not in DETECTORS]
    matched = sum(row.verdict == "match" for row in own)
    notes = [
        "; ".join(f"{n} {verdict}" for verdict, n in count_verdicts(rows).items()),
        f"GMac cells of the paper's own networks that match to the printed digit: {matched} of {len(own)}",
        "macs are in the paper's convention (ptflops up to 0.7.0); F3-Net's figures are of 299×299",
        *(f"{row.table} {row.model} {row.quantity}: {row.note}" for row in rows if row.note),
    ]
    title = "Guo et al., IEEE TIFS 2024: printed and counted, 3×256×256 (F3-Net: 3×299×299), 2 classes"
    return tabulated(title, PRINTED_COLUMNS, rows, notes=notes, group_by=lambda row: row.table)


def _parity(rows: Sequence[ParityRow]) -> Table:
    """One row for all α at which a backbone's terms are the same; β changes no parameter."""
    merged: dict[tuple[object, ...], tuple[ParityRow, set[float]]] = {}
    for row in rows:
        assert row.alpha is not None
        same = (row.backbone, row.vanilla, row.sfic, *sorted(row.terms.items()))
        merged.setdefault(same, (row, set()))[1].add(row.alpha)

    def term(name: str, heading: str) -> Cells[tuple[ParityRow, set[float]]]:
        return Cells(heading, lambda line: f"{line[0].terms[name]:+,}" if name in line[0].terms else "", always=True)

    columns: tuple[Cells[tuple[ParityRow, set[float]]], ...] = (
        Cells("backbone", lambda line: line[0].backbone, number=False),
        Cells("α", lambda line: ", ".join(map(format_ratio, sorted(line[1]))), number=False),
        Cells("vanilla", lambda line: f"{line[0].vanilla:,}"),
        term("MCSConv", "MCSConv"),
        term("grouped Stage 1", "grouped\nStage 1"),
        term("convolution biases", "convolution\nbiases"),
        Cells("SFIC", lambda line: f"{line[0].sfic:,}", rank=1),
        Cells("unexplained", lambda line: str(line[0].unexplained)),
    )
    return tabulated("Parameters: from vanilla to SFIC, term by term", columns, list(merged.values()))
