"""A comparison as a headline and tables: the verdict first, then what changed, then the rest."""

from typing import Any

import pandas as pd

from sfic_bench.compare.verdicts import Comparison
from sfic_bench.report.table import Column, Table
from sfic_bench.units import format_ratio

COLUMNS = (
    Column(name="verdict"),
    Column(name="row"),
    Column(name="α", number=True),
    Column(name="β", number=True),
    Column(name="path"),
    Column(name="figure"),
    *(Column(name=n, number=True) for n in ("base", "head", "ratio", "interval")),
    Column(name="remark"),
)


def headline(comparison: Comparison) -> str:
    """The verdict in one line."""
    counts = ", ".join(f"{n:,} {verdict}" for verdict, n in comparison.counts.items() if n)
    return f"{comparison.overall}: {counts}"


def comparison_tables(comparison: Comparison) -> list[Table]:
    """What changed, the worst first, and the times that did not, folded."""
    changed = comparison.changed
    same = comparison.table[comparison.table["verdict"] == "equivalent"]
    times = same[same["test"] == "sampled"]
    notes = [f"{comparison.head.path} against {comparison.base.path}"]
    if len(times) < len(same):
        notes.append(f"{len(same) - len(times):,} counts and single readings are equivalent and not listed here")
    if (comparison.table["test"] == "sampled").any():
        notes.append(
            f"ratio: median of all head/base ratios, {100 * comparison.confidence:g}% interval; margin {100 * comparison.margin:g}%; "
            f"verdicts hold over the whole table (Benjamini–Hochberg at {100 * (1 - comparison.confidence):.2g}%)"
        )
    notes += comparison.notes
    parts = [Table(title=headline(comparison), columns=COLUMNS, rows=_cells(changed), notes=notes)]
    if len(times):
        parts.append(Table(title="Equivalent times", columns=COLUMNS, rows=_cells(times), folded=True))
    return parts


def _cells(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [
            row.verdict,
            row.name,
            format_ratio(_known(row.alpha)),
            format_ratio(_known(row.beta)),
            row.where or "",
            row.metric,
            _value(row.base),
            _value(row.head),
            *_ratio(row),
            row.note,
        ]
        for row in rows.drop(columns="row").itertuples(index=False)
    ]


def _known(value: Any) -> Any:
    """A value of a data frame; ``None`` for NaN and infinity."""
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def _value(value: Any) -> str:
    value = _known(value)
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _ratio(row: Any) -> tuple[str, str]:
    ratio, low, high = (_known(getattr(row, n)) for n in ("ratio", "low", "high"))
    if ratio is None:
        return "", ""
    interval = "" if row.test != "sampled" or high is None else f"{low:.3f}–{high:.3f}"
    return f"{ratio:.3f}", interval
