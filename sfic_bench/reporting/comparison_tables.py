"""A comparison as a headline and tables: the verdict first, then what changed, then the rest."""

from collections.abc import Sequence

from sfic_bench.reporting.cells import number
from sfic_bench.reporting.columns import Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.comparison import ComparisonResult, ComparisonRow
from sfic_bench.units import format_ratio

ESTIMATED = {"sampled": "median of all head/base ratios", "interval": "head/base, as if of different images"}
"""The tests of figures that have an interval, and what the ratio of such a figure is."""


def headline(comparison: ComparisonResult) -> str:
    """The deciding verdict, and how many figures have each verdict."""
    counts = ", ".join(f"{n:,} {verdict}" for verdict, n in comparison.counts.items() if n)
    return f"{comparison.verdict}: {counts}"


def comparison_tables(comparison: ComparisonResult) -> list[Table]:
    """What changed, the worst first, and the times and scores that did not change, folded."""
    same = [row for row in comparison.rows if row.verdict == "equivalent"]
    estimated = [row for row in same if row.test in ESTIMATED]
    confidence = f"{100 * comparison.confidence:g}%"
    notes = [f"{comparison.head.path} against {comparison.base.path}"]
    if len(estimated) < len(same):
        notes.append(f"{len(same) - len(estimated):,} counts and single readings are equivalent and not listed here")
    tests = {row.test for row in comparison.rows}
    if tests & ESTIMATED.keys():
        ratio = next(meaning for test, meaning in ESTIMATED.items() if test in tests)
        notes.append(
            f"ratio: {ratio}, {confidence} interval; margin {100 * comparison.margin:g}%; "
            f"verdicts hold over the whole table (Benjamini–Hochberg at {100 * (1 - comparison.confidence):.2g}%)"
        )
    notes += comparison.notes
    columns = _columns(f"{confidence}\ninterval")
    tables = [tabulated(headline(comparison), columns, comparison.changed, notes=notes)]
    if estimated:
        title = "Equivalent scores" if "interval" in tests else "Equivalent times"
        tables.append(tabulated(title, columns, estimated, folded=True))
    return tables


def _columns(interval: str) -> Sequence[Cells[ComparisonRow]]:
    return (
        Cells("verdict", lambda row: row.verdict, number=False),
        Cells("row", lambda row: row.name, number=False),
        Cells("α", lambda row: format_ratio(row.alpha), always=True),
        Cells("β", lambda row: format_ratio(row.beta), always=True),
        Cells("path", lambda row: row.where, number=False),
        Cells("figure", lambda row: row.metric, number=False, rank=1),
        Cells("base", lambda row: _figure(row.base), rank=2),
        Cells("head", lambda row: _figure(row.head), rank=2),
        Cells("ratio", lambda row: number(row.ratio, ".3f")),
        Cells(interval, _bounds),
        Cells("remark", lambda row: row.note, number=False),
    )


def _figure(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value, ".4g")


def _bounds(row: ComparisonRow) -> str:
    # The bounds of counts and single readings are the ratio itself.
    return "" if row.test not in ESTIMATED or row.high is None else f"{row.low:.3f}–{row.high:.3f}"
