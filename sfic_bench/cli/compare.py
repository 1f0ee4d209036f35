"""``sfic-bench compare``: is the head better or worse than its base?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result
from sfic_bench.errors import InvalidValue

if TYPE_CHECKING:
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


def result(found: "Comparison", format: Format) -> Result:
    """As it is written in ``format``."""
    from sfic_bench.report.comparison import tables

    records: list[dict[str, Any]] = []
    if format in (Format.JSON, Format.CSV):  # the others have no use for them, and a long table takes time
        records = json.loads(found.table.to_json(orient="records", double_precision=15))
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
        tables=tables(found),
        records=records,
    )


def _source(found: "Comparison", side: str) -> dict[str, Any]:
    records = found.base if side == "base" else found.head
    return {"path": str(records.path), "kind": records.kind, "environment": dict(records.environment)}
