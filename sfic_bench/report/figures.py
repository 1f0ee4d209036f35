"""Records as a table of single figures, one row each, in pandas."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sfic_bench.errors import InvalidValue
from sfic_bench.report.records import Records
from sfic_bench.report.rows import AccuracyRow, CostRow, MeasuredRow, PytestRow, label

IDENTITY = ("name", "alpha", "beta", "where")
"""Columns that tell rows apart; together a row's ``key``."""

COLUMNS = ("row", *IDENTITY, "metric", "test", "value", "samples", "status", "reason")

MEMORY = ("parameters", "peak_allocated", "graph_pool")
"""Definitions of memory that are a property of the call. What the process had resident, or the allocator
had reserved, depends on what ran before it."""

RELATIVE = "latency ÷ vanilla"


def figures(records: Records, *, relative: bool = False) -> pd.DataFrame:
    """Every figure of ``records`` that two files can be compared by.

    Columns, beside those of `IDENTITY` and ``row``, its label:
    ``metric``; ``test``: ``"exact"`` for counts, ``"sampled"`` for times, ``"reading"`` for a single value
    that repeats; ``value``: the count, the median in ms, or bytes; ``samples``: ms, else ``None``;
    ``status`` and ``reason``: of a time that is missing, or of a count what it leaves out.

    ``relative`` takes times over vanilla's of the same round and path, without vanilla itself.

    Raises:
        InvalidValue: if there is no vanilla to be relative to.
    """
    lines = []
    for row in records.rows:
        match row:
            case CostRow():
                found = _counts(row)
            case MeasuredRow():
                found = _measurements(row, records, relative)
            case AccuracyRow():
                continue  # compared where they are measured, on the same images
            case PytestRow():
                if relative:
                    raise InvalidValue(
                        f"{records.path}: pytest-benchmark's files have no vanilla to be relative to"
                    )
                samples = np.array(row.samples_ms)
                found = iter([("latency_ms", "sampled", _median(samples), samples, "ok", "")])
        identity = (label(row.key), *row.key)
        lines += [identity + figure for figure in found]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"value": object, "samples": object})


Figure = tuple[str, str, Any, Any, str, str]


def _counts(row: CostRow) -> Iterator[Figure]:
    counts = {"params": row.params, "params_dead": row.params_dead}
    counts |= {f"macs {name}": macs for name, macs in row.macs.items()}
    if row.macs_fused is not None:
        counts["macs fused"] = row.macs_fused
    counts |= {"activations": row.activations, "bytes_moved": row.bytes_moved}
    for metric, count in counts.items():
        left_out = row.unsupported.get(metric.removeprefix("macs "), {}) if metric.startswith("macs") else {}
        yield metric, "exact", count, None, "ok", ", ".join(f"{k} ×{n}" for k, n in sorted(left_out.items()))


def _measurements(row: MeasuredRow, records: Records, relative: bool) -> Iterator[Figure]:
    samples = None if row.latency_ms is None else np.array(row.latency_ms.samples)
    if not relative:
        yield "latency_ms", "sampled", _median(samples), samples, row.status, row.reason
    elif not row.is_vanilla:
        if samples is not None:
            samples = samples / _vanilla(row, records)
        yield RELATIVE, "sampled", _median(samples), samples, row.status, row.reason
    for name in MEMORY:
        if name in row.peak_bytes:
            yield f"{name} bytes", "reading", row.peak_bytes[name], None, "ok", ""
    if row.macs is not None:
        yield "macs", "exact", row.macs, None, "ok", ""


def _vanilla(row: MeasuredRow, records: Records) -> Any:
    assert row.latency_ms is not None
    for other in records.measured:
        if other.is_vanilla and (other.name, other.key[3]) == (row.name, row.key[3]):
            if other.latency_ms is None or len(other.latency_ms.samples) != len(row.latency_ms.samples):
                break
            return np.array(other.latency_ms.samples)
    raise InvalidValue(
        f"{records.path}: {label(row.key)} has no vanilla row of as many rounds on the same path; "
        "leave --relative out, or measure again with `sfic-bench latency`"
    )


def _median(samples: NDArray[np.float64] | None) -> float | None:
    return None if samples is None else median(samples.tolist())  # numpy's takes 20 times as long on so few
