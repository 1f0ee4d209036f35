"""Result files: compared, put on a page, and written for other programs."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sfic_bench.choices import ReportFormat
from sfic_bench.commands.given import FilePath, Names, names_in
from sfic_bench.errors import InvalidValue, member
from sfic_bench.results.comparison import ComparisonResult
from sfic_bench.results.read import Result, ResultFile, as_file, read

if TYPE_CHECKING:
    from sfic_bench.reporting.page import Page


def compare(
    base: "FilePath | Result",
    head: "FilePath | Result",
    *,
    margin: float = 0.02,
    confidence: float = 0.95,
    relative: bool = False,
    ignore: Names = (),
) -> ComparisonResult:
    """Compare two results of one kind, whatever command made them, or two files of pytest-benchmark.

    Parameters, MACs and other counts are compared as integers. Times and scores get one of four verdicts, by a test
    with an interval, controlled
    for false discoveries over the whole table: improved, equivalent (the interval lies inside the margin), regressed,
        or inconclusive, with
    what could have been shown and what would settle it.

    Args:
        base: the older result, or its file.
        head: the newer result, or its file.
        margin: how far times, memory and scores may differ and still be equal, as a share.
        confidence: confidence of intervals and verdicts, as a share.
        relative: compare ratios to vanilla of the same round, so that what slows a machine drops out.
        ignore: conditions that may differ, such as ``"torch"``.

    Raises:
        UnreadableResult: for a file that is no result file.
        Incomparable: for results of different kinds, or made under different conditions.
    """
    from sfic_bench.comparing.verdicts import compare as compare_files  # imports pandas

    return compare_files(
        _file(base, "base"), _file(head, "head"), margin=margin, confidence=confidence, relative=relative,
        ignore=names_in(ignore),
    )  # fmt: skip


def report(
    results: "FilePath | Result | Sequence[FilePath | Result]",
    *,
    base: "FilePath | Result | None" = None,
    margin: float = 0.02,
) -> "Page":
    """Put results on one page: verdict, tables, charts, and where figures are from.

    Examples:
        >>> report(["costs.json", "times.json"]).save("report.html")  # doctest: +SKIP

    Args:
        results: results or their files, one or several.
        base: an older result to compare the one result with.
        margin: margin of that comparison, as a share.

    Raises:
        UnreadableResult: for a file that is no result file.
        InvalidValue: for a base beside several results.
        Incomparable: for a base of another kind, or made under different conditions.
    """
    records = _files(results)
    if base is not None and len(records) != 1:
        raise InvalidValue(f"--base compares with exactly one FILE, got {len(records)}")
    from sfic_bench.comparing.verdicts import compare as compare_files
    from sfic_bench.reporting.page import Page, sections

    comparison = None if base is None else compare_files(_file(base, "base"), records[0], margin=margin)
    return Page(sections=sections(records, comparison), names=[record.path.name for record in records])


def exchange(results: "FilePath | Result | Sequence[FilePath | Result]", format: ReportFormat | str) -> str:
    """Results as the text of a file that another program reads.

    Args:
        results: results or their files, one or several, with times or costs.
        format: ``"github-action"`` for github-action-benchmark, ``"google-benchmark"`` for Google Benchmark's
            compare.py, ``"openmetrics"`` for Prometheus.

    Raises:
        UnreadableResult: for a file that is no result file.
        InvalidValue: for results that the format has no place for.
        UnknownName: for another format.
    """
    from sfic_bench.reporting.exchange import exchanged

    return exchanged(_files(results), member(ReportFormat, format, "format"))


def _files(results: "FilePath | Result | Sequence[FilePath | Result]") -> list[ResultFile]:
    each = results if isinstance(results, list | tuple) else [cast("FilePath | Result", results)]
    return [_file(one, f"result {number}") for number, one in enumerate(each, 1)]


def _file(result: "FilePath | Result | ResultFile", name: str) -> ResultFile:
    if isinstance(result, ResultFile):
        return result
    return read(Path(result)) if isinstance(result, str | PathLike) else as_file(result, name)
