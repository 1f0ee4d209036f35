"""``sfic-bench compare``: is the head better or worse than its base?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result
from sfic_bench.errors import InvalidValue
from sfic_bench.report import Column, Table
from sfic_bench.units import format_ratio

if TYPE_CHECKING:
    import pandas as pd

    from sfic_bench.report.verdicts import Comparison

SCHEMA = "sfic-bench/comparison/1"

EPILOG = (
    "Exit status: 0 nothing regressed, 1 something did, 2 a file or option that cannot be used, "
    "3 the two were not made alike."
)


def compare_command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Result file of what was.")],
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="Result file of what is.")],
    margin: Annotated[
        str, typer.Option(metavar="PERCENT", help="How far times and memory may differ and still be equal.")
    ] = "2%",
    confidence: Annotated[
        str, typer.Option(metavar="PERCENT", help="Of intervals, and against false verdicts.")
    ] = "95%",
    relative: Annotated[
        bool,
        typer.Option(
            "--relative",
            help="Compare times over vanilla's of the same round: what slows a whole machine drops out.",
        ),
    ] = False,
    ignore: Annotated[
        str, typer.Option(metavar="KEY[,KEY…]", help="Conditions that may differ, such as torch.")
    ] = "",
    fail_on_inconclusive: Annotated[
        bool, typer.Option("--fail-on-inconclusive", help="Exit status 1 for what could not be told, too.")
    ] = False,
    fail_on_change: Annotated[
        bool,
        typer.Option(
            "--fail-on-change", help="Exit status 1 for anything but equivalent: also fewer, added, removed."
        ),
    ] = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Compare two result files, of `flops`, `latency`, `stage2` or pytest-benchmark.

    Parameters, MACs and other counts are compared as integers. Times get one of four verdicts, by a rank test with an
    interval, controlled for false discoveries over the whole grid: improved, equivalent (the interval
    lies inside the margin), regressed, or inconclusive, with the least effect that could have been shown.
    """
    out = Output(format=format, path=output)
    from sfic_bench.report.records import read
    from sfic_bench.report.verdicts import compare  # imports pandas

    found = compare(
        read(base),
        read(head),
        margin=percent("--margin", margin),
        confidence=percent("--confidence", confidence),
        relative=relative,
        ignore=options.parts(ignore),
    )
    out.emit(result(found, format))
    counts = found.counts
    failed = counts["regressed"] > 0
    failed |= fail_on_inconclusive and counts["inconclusive"] > 0
    failed |= fail_on_change and len(found.changed) > 0
    if failed:
        raise typer.Exit(1)


def percent(option: str, text: str) -> float:
    """``"2%"`` and ``"0.02"`` are 0.02.

    Raises:
        InvalidValue: for anything else; a bare ``"2"`` could mean either.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1:
        raise InvalidValue(
            f"{option} takes a percentage below 100 such as 2%, or its share, 0.02; got {text!r}"
        )
    return value


def headline(found: "Comparison") -> str:
    """The verdict in one line."""
    counts = ", ".join(f"{n:,} {verdict}" for verdict, n in found.counts.items() if n)
    return f"{found.overall}: {counts}"


def result(found: "Comparison", format: Format) -> Result:
    """As it is written in ``format``."""
    records: list[dict[str, Any]] = []
    if format in (Format.JSON, Format.CSV):  # the others have no use for them, and a long table takes time
        records = json.loads(found.table.to_json(orient="records", double_precision=15))
    changed = found.changed
    sampled = found.table[(found.table["test"] == "sampled") & (found.table["verdict"] == "equivalent")]
    silent = len(found.table) - len(changed) - len(sampled)
    notes = [f"{found.head.path} against {found.base.path}"]
    if silent:
        notes.append(f"{silent:,} counts and single readings are equivalent and not listed here")
    if (found.table["test"] == "sampled").any():
        notes.append(
            f"ratio: median of all head/base ratios, {100 * found.confidence:g}% interval; margin {100 * found.margin:g}%; "
            f"verdicts hold over the whole table (Benjamini–Hochberg at {100 * (1 - found.confidence):.2g}%)"
        )
    notes += found.notes
    first = Table(
        title=headline(found),
        columns=_COLUMNS,
        rows=_cells(changed),
        notes=() if len(sampled) else notes,
    )
    rest = Table(title="Equivalent times", columns=_COLUMNS, rows=_cells(sampled), notes=notes, folded=True)
    return Result(
        document={
            "schema": SCHEMA,
            "base": _source(found, "base"),
            "head": _source(found, "head"),
            "margin": found.margin,
            "confidence": found.confidence,
            "verdict": found.overall,
            "counts": found.counts,
            "notes": list(found.notes),
            "rows": records,
        },
        tables=[first, rest] if len(sampled) else [first],
        records=records,
    )


_COLUMNS = [
    Column(name="verdict"),
    Column(name="row"),
    Column(name="α", number=True),
    Column(name="β", number=True),
    Column(name="", optional=False),
    Column(name="figure"),
    *(Column(name=n, number=True) for n in ("base", "head", "ratio", "interval")),
    Column(name="remark"),
]


def _source(found: "Comparison", side: str) -> dict[str, Any]:
    records = found.base if side == "base" else found.head
    return {"path": str(records.path), "kind": records.kind, "environment": dict(records.environment)}


def _plain(value: Any) -> Any:
    """A value of a data frame as JSON has it: no NaN, no infinity, no numpy."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _cells(rows: "pd.DataFrame") -> list[list[str]]:
    return [
        [
            row.verdict,
            row.name,
            format_ratio(_plain(row.alpha)),
            format_ratio(_plain(row.beta)),
            row.where or "",
            row.metric,
            _value(row.base),
            _value(row.head),
            *_ratio(row),
            row.note,
        ]
        for row in rows.drop(columns="row").itertuples(index=False)
    ]


def _value(value: Any) -> str:
    value = _plain(value)
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _ratio(row: Any) -> tuple[str, str]:
    ratio, low, high = (_plain(getattr(row, n)) for n in ("ratio", "low", "high"))
    if ratio is None:
        return "", ""
    interval = "" if row.test != "sampled" or high is None else f"{low:.3f}–{high:.3f}"
    return f"{ratio:.3f}", interval
