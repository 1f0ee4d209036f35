"""A result file as a data frame with one row for each figure."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sfic_bench.errors import InvalidValue
from sfic_bench.results.cost import CostRow
from sfic_bench.results.deployment import DeploymentRow
from sfic_bench.results.fields import Key, label
from sfic_bench.results.read import ResultFile
from sfic_bench.results.timing import TimingResult, TimingRow, vanilla_rows
from sfic_bench.statistics.interval import Interval

IDENTITY = ("name", "alpha", "beta", "where")
"""The columns that identify a row; together they are its ``key``."""

MEMORY = ("parameters", "peak_allocated", "graph_pool")
"""Definitions of memory that depend on the call alone. Resident and reserved memory depend on what ran before it."""


Names = tuple[str, str, float | None, float | None, str]
"""What names a row of a file: the first five attributes of `Figure`."""


class Figure(NamedTuple):
    """One figure of one row of a file.

    The first seven attributes are those of `sfic_bench.results.comparison.ComparisonRow`.

    Attributes:
        value: the count, the median in ms, bytes, or the score.
        samples: milliseconds of a time, in the order of the rounds.
        interval: the interval of a score.
        status: the status of a time; ``"ok"`` for all other figures.
        reason: why a time is missing, or what a count leaves out.
    """

    row: str
    name: str
    alpha: float | None
    beta: float | None
    where: str
    metric: str
    test: str
    value: float | None
    samples: NDArray[np.float64] | None = None
    status: str = "ok"
    reason: str = ""
    interval: Interval | None = None


def figures(file: ResultFile, *, relative: bool = False) -> pd.DataFrame:
    """A row for each `Figure` of ``file`` by which it can be compared.

    If ``relative``, times are divided by vanilla's of the same round and path, and vanilla's own are left out.

    Raises:
        InvalidValue: if ``relative`` and there is no vanilla row to divide by.
    """
    rows: list[Figure] = []
    if file.cost is not None:
        for cost in file.cost.rows:
            rows += _counts(cost)
    if file.timing is not None:
        rows += _times(file, file.timing, relative)
    if file.audit is not None:
        rows += [Figure(*_names(row.key), "counted", "exact", row.measured) for row in file.audit.rows]
    for scored in (file.accuracy, file.scores, file.robustness):
        if scored is not None:
            rows += [figure for row in scored.rows for figure in _scores(row.key, row.scores())]
    if file.deployment is not None:
        for deployed in file.deployment.rows:
            rows += _scores(deployed.key, deployed.scores())
            rows.append(_deployed_time(deployed))
    if file.table is not None:
        rows += [figure for cell in file.table.rows for figure in _scores(cell.key, {"percent": cell.measured})]
    frame = pd.DataFrame(rows, columns=list(Figure._fields))
    return frame.astype({"value": object, "samples": object, "interval": object})


def _names(key: Key) -> Names:
    """A row's names; made once for all figures of the row, since formatting them takes longest."""
    return label(key), *key


def _counts(row: CostRow) -> Iterator[Figure]:
    counts = {"params": row.params, "params_dead": row.params_dead}
    counts |= {f"macs {name}": macs for name, macs in row.macs.items()}
    if row.macs_fused is not None:
        counts["macs fused"] = row.macs_fused
    counts |= {"activations": row.activations, "bytes_moved": row.bytes_moved}
    names = _names(row.key)
    for metric, count in counts.items():
        left_out = row.unsupported.get(metric.removeprefix("macs "), {}) if metric.startswith("macs") else {}
        reason = ", ".join(f"{kind} ×{n}" for kind, n in sorted(left_out.items()))
        yield Figure(*names, metric, "exact", count, reason=reason)


def _scores(key: Key, scores: Mapping[str, Interval | None]) -> Iterator[Figure]:
    """A figure for each of a row's scores that has an interval, by the score's name."""
    for metric, score in scores.items():
        if score is not None and score.low is not None and score.estimate > 0:
            yield Figure(*_names(key), metric, "interval", score.estimate, interval=score)


def _times(file: ResultFile, result: TimingResult, relative: bool) -> Iterator[Figure]:
    if relative and file.kind == "pytest-benchmark":
        raise InvalidValue(f"{file.path}: pytest-benchmark's files have no vanilla to be relative to")
    vanilla = vanilla_rows(result.rows)
    for timed in result.rows:
        names = _names(timed.key)
        if not relative:
            yield _time(names, timed, "latency_ms", timed.samples_ms)
        elif not timed.is_vanilla:
            ratios = _ratios(timed, vanilla.get(timed.vanilla_key), file)
            yield _time(names, timed, "latency ÷ vanilla", ratios)
        yield from _readings(names, timed)


def _deployed_time(row: DeploymentRow) -> Figure:
    times = row.samples_ms
    value, array = (median(times), np.array(times)) if times else (None, None)
    return Figure(*_names(row.key), "latency_ms", "sampled", value, array)


def _time(names: Names, row: TimingRow, metric: str, samples: Sequence[float]) -> Figure:
    # numpy's median takes 20 times as long on so few values.
    value, array = (median(samples), np.array(samples)) if samples else (None, None)
    return Figure(*names, metric, "sampled", value, array, row.status, row.reason)


def _ratios(row: TimingRow, vanilla: TimingRow | None, file: ResultFile) -> list[float]:
    """Each sample of ``row`` over vanilla's of the same round."""
    if not row.samples_ms:
        return []
    if vanilla is None or len(vanilla.samples_ms) != len(row.samples_ms):
        raise InvalidValue(
            f"{file.path}: {label(row.key)} has no vanilla row of as many rounds on the same path; "
            "leave --relative out, or measure again with `sfic-bench latency`"
        )
    return [own / base for own, base in zip(row.samples_ms, vanilla.samples_ms, strict=True)]


def _readings(names: Names, row: TimingRow) -> Iterator[Figure]:
    for name in MEMORY:
        if name in row.peak_bytes:
            yield Figure(*names, f"{name} bytes", "reading", row.peak_bytes[name])
    if row.macs is not None:
        yield Figure(*names, "macs", "exact", row.macs)
