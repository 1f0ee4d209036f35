"""``sfic-bench compare``: is the head better or worse than its base?"""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.terminal import view_of
from sfic_bench.errors import InvalidValue

EPILOG = (
    "Exit status: 0 nothing regressed, 1 something did, 2 a file or option that cannot be used, "
    "3 files made under different conditions."
)


def compare_command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Result file of the older version.")],
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="Result file of the newer version.")],
    margin: Annotated[
        str, typer.Option(metavar="PERCENT", help="How far times, memory and scores may differ and still be equal.")
    ] = "2%",
    confidence: Annotated[str, typer.Option(metavar="PERCENT", help="Confidence of intervals and verdicts.")] = "95%",
    relative: Annotated[
        bool,
        typer.Option(
            "--relative", help="Compare ratios to vanilla of the same round, so that what slows a machine drops out."
        ),
    ] = False,
    ignore: Annotated[str, typer.Option(metavar="KEY[,KEY…]", help="Conditions that may differ, such as torch.")] = "",
    fail_on_inconclusive: Annotated[
        bool, typer.Option("--fail-on-inconclusive", help="Exit status 1 for inconclusive figures, too.")
    ] = False,
    fail_on_change: Annotated[
        bool,
        typer.Option("--fail-on-change", help="Exit status 1 for anything but equivalent: also fewer, added, removed."),
    ] = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Compare two result files of one kind, whatever command wrote them, or two of pytest-benchmark.

    Parameters, MACs and other counts are compared as integers. Times and scores get one of four verdicts, by a test
    with an interval, controlled for false discoveries over the whole table: improved, equivalent (the interval
    lies inside the margin), regressed, or inconclusive, with what could have been shown and what would settle it.
    """
    out = Output(format=format, path=output)
    comparison = sfic_bench.compare(
        base, head, margin=percent("--margin", margin), confidence=percent("--confidence", confidence),
        relative=relative, ignore=options.parts(ignore),
    )  # fmt: skip
    out.emit(view_of(comparison))
    counts = comparison.counts
    failed = counts["regressed"] > 0
    failed |= fail_on_inconclusive and counts["inconclusive"] > 0
    failed |= fail_on_change and len(comparison.changed) > 0
    if failed:
        raise typer.Exit(1)


def percent(option: str, text: str) -> float:
    """The share that ``text`` gives: 0.02 for ``"2%"`` or ``"0.02"``.

    Raises:
        InvalidValue: for anything else, such as ``"2"``, which could mean either.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1:
        raise InvalidValue(f"{option} takes a percentage below 100 such as 2%, or its share, 0.02; got {text!r}")
    return value
