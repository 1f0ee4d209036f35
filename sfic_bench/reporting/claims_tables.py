"""The paper's claims in words, with their verdicts, as tables."""

from sfic_bench.paper.suspicious import KNOWN_OF_PRINTED
from sfic_bench.reporting.columns import Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.claims import ClaimsResult, SuspiciousRow, WordsRow

WORDS_COLUMNS: tuple[Cells[WordsRow], ...] = (
    Cells("table", lambda row: row.place, number=False),
    Cells("the paper says", lambda row: row.says, number=False),
    Cells("by", lambda row: "" if row.source == "printed" else row.source, number=False),
    Cells("verdict", lambda row: row.verdict, number=False),
    Cells("holds", lambda row: f"{row.holds} of {row.of}"),
    Cells("finding", lambda row: row.finding, number=False),
)
SUSPICIOUS_COLUMNS: tuple[Cells[SuspiciousRow], ...] = (
    Cells("table", lambda row: row.place, number=False),
    Cells("what", lambda row: row.what, number=False),
    Cells("finding", lambda row: row.finding, number=False),
)


def claims_tables(result: ClaimsResult) -> list[Table]:
    """The claims, then what is suspicious."""
    notes = [
        "holds: of the comparisons that a claim rests on; a printed figure is compared as it is, a measured one by its "
        "95% interval, which may leave a comparison undecided",
        KNOWN_OF_PRINTED,
    ]
    return [
        tabulated("What the paper says in words, against its own tables", WORDS_COLUMNS, result.rows, notes=notes),
        tabulated("Printed figures to doubt", SUSPICIOUS_COLUMNS, result.suspicious),
    ]
