"""Result files as data frames for charts and tables: one for costs, one for times, and so on."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from sfic_bench.measure.conditions import Device, MemoryLayout
from sfic_bench.networks.variant import Variant
from sfic_bench.paper import CountedNetwork, accuracy_cells, audit, cost_cells, printed_at, variants_needed
from sfic_bench.report.cells import shape, size
from sfic_bench.report.cost_tables import Counted
from sfic_bench.report.timing_tables import compared, describe
from sfic_bench.results.audit import AuditRow
from sfic_bench.results.cost import CostRow
from sfic_bench.results.fields import label
from sfic_bench.results.read import ResultFile
from sfic_bench.results.timing import TimingResult
from sfic_bench.statistics.intervals import Interval

DRAWN = 200
"""Samples of a row that a chart shows: evenly spaced order statistics, the least and the most among them."""


def costs(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row a counted network. MACs are in 10⁹; ``…_ratio`` is over vanilla of the same file and input.

    The column ``line`` has the row itself with its vanilla row, for tables.
    """
    rows = []
    for line in cost_lines(files):
        row = line.row
        rows.append(
            {
                "backbone": row.backbone,
                "alpha": row.alpha,
                "beta": row.beta,
                "row": row.network,
                "input": f"{size(row.input_size)}, {row.classes} classes",
                "params": row.params,
                "unexplained": (row.params_over_vanilla or {}).get("unexplained"),
                "paper": _giga(row.macs.get("paper")),
                "conv_linear": _giga(row.macs.get("conv-linear")),
                "paper_ratio": line.over_vanilla(row.macs.get("paper"), "paper"),
                "fused_ratio": line.over_vanilla(row.macs_fused, "conv-linear"),
                "line": line,
            }
        )
    return pd.DataFrame(rows)


def cost_lines(files: Sequence[ResultFile]) -> Iterator[Counted]:
    """Every counted network of every file beside its vanilla network."""
    for file in files:
        if file.cost is not None:
            vanilla = file.cost.vanilla()
            for row in file.cost.rows:
                yield Counted(row, vanilla.get(row.vanilla_key), file.path.name)


def times(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row a timed path. ``setting`` says under which conditions; only rows of the same may be compared.

    The column ``line`` has the row itself with its vanilla row, for tables.
    """
    rows = []
    for file, where, timing in _timed(files):
        for line in compared(timing.rows):
            row, (name, alpha, beta, path) = line.row, line.row.key
            peak = row.peak_bytes.get("peak_allocated")
            rows.append(
                {
                    "file": file.path.name,
                    "setting": where,
                    "backbone": name,
                    "alpha": alpha,
                    "beta": beta,
                    "path": path,
                    "row": label(row.key),
                    **_interval("ms", row.latency_ms),
                    **_interval("ratio", row.ratio_to_vanilla),
                    "gmacs": _giga(row.macs),
                    "macs_ratio": line.macs_ratio,
                    "peak_mb": None if peak is None else peak / 1e6,
                    "slower": row.fewer_macs_but_slower,
                    "status": row.status,
                    "remark": line.remark,
                    "line": line,
                }
            )
    return _told_apart(pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, float))) if rows else pd.DataFrame()


def _timed(files: Iterable[ResultFile]) -> Iterator[tuple[ResultFile, str, TimingResult]]:
    """The files that have times, each with its `setting`."""
    for file in files:
        if file.timing is not None:
            yield file, setting(file), file.timing


NUMBERS = ("ms", "ms_low", "ms_high", "ratio", "ratio_low", "ratio_high", "gmacs", "macs_ratio", "peak_mb")
"""Columns of `times` that are numbers, also where none is known."""


def _interval(name: str, interval: Interval | None, scale: float = 1) -> dict[str, float | None]:
    """The columns ``name``, ``name_low`` and ``name_high``."""
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = (None if bound is None else scale * bound for bound in (interval.low, interval.high))
    return {name: scale * interval.estimate, f"{name}_low": low, f"{name}_high": high}


def _told_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the file in the label of rows that two files have under the same conditions."""
    files = frame.groupby(["setting", "row"])["file"].transform("nunique")
    return frame.assign(row=frame["row"].where(files == 1, frame["row"] + " (" + frame["file"] + ")"))


def setting(file: ResultFile) -> str:
    """The conditions of a measurement in a line: ``inference, batch 4, 256×256, fp32, cpu, …``."""
    timing, machine = file.timing, file.environment
    if timing is None:
        return ""
    if timing.conditions is None:
        parts = ["pytest-benchmark", machine.processor, machine.machine]
        return ", ".join(part for part in parts if part)
    layouts = {row.layout for row in timing.rows}
    parts = [
        describe(timing.conditions, layouts.pop() if len(layouts) == 1 else MemoryLayout.BOTH),
        machine.processor,
        f"oneDNN at most {machine.onednn_max_cpu_isa}" if machine.onednn_max_cpu_isa else "",
        f"{machine.threads} threads" if timing.conditions.device is Device.CPU else "",
        f"torch {machine.packages.get('torch')}",
    ]
    return ", ".join(part for part in parts if part)


def distributions(files: Sequence[ResultFile]) -> pd.DataFrame:
    """Samples in ms, long: one row a sample, at most `DRAWN` for each timed path."""
    parts = [
        (file.path.name, where, row.key[0], row.key[3], label(row.key), _spread(row.samples_ms))
        for file, where, timing in _timed(files)
        for row in timing.rows
        if row.samples_ms
    ]
    columns = ["file", "setting", "backbone", "path", "row", "ms"]
    return _told_apart(pd.DataFrame(parts, columns=columns)).explode("ms").astype({"ms": float})


def layers(files: Sequence[ResultFile], most: int) -> tuple[pd.DataFrame, int]:
    """Layers of the first ``most`` networks that have them, and how many networks were left out."""
    layered = [line.row for line in cost_lines(files) if line.row.layers]
    rows = [
        {
            "row": row.network,
            "order": i,
            "layer": layer.path or "(network)",
            "kind": layer.kind,
            "input": shape(layer.input),
            "output": shape(layer.output),
            "params": layer.params,
            "mmacs": None if (macs := layer.macs.get("conv-linear")) is None else macs / 1e6,
        }
        for row in layered[:most]
        for i, layer in enumerate(row.layers)
    ]
    return pd.DataFrame(rows), max(0, len(layered) - most)


def audited(files: Sequence[ResultFile]) -> list[AuditRow]:
    """The paper's printed parameters and FLOPs against those counted, where the network was counted as the paper does."""
    counted = {
        Variant(backbone=row.backbone, alpha=row.alpha, beta=row.beta): CountedNetwork.of(row)
        for row in _as_the_paper(files)
    }
    return audit([c for c in cost_cells() if counted.keys() >= set(variants_needed([c]))], counted)


def published(files: Sequence[ResultFile]) -> pd.DataFrame:
    """The paper's printed AUC beside MACs counted here; one row a network and test set."""
    macs = {row.network: row.macs["paper"] / 1e9 for row in _as_the_paper(files)}
    rows = [
        {
            "backbone": variant.backbone,
            "row": str(variant),
            "task": f"{cell.train_set} → {cell.test_set} (Table {cell.table})",
            "auc": cell.percent,
            "gmacs": macs[str(variant)],
        }
        for cell in accuracy_cells()
        if cell.metric == "AUC" and (variant := cell.variant) and str(variant) in macs
    ]
    return pd.DataFrame(rows)


def accuracies(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row a network and experiment, scores in percent; MACs where some file has them, at the paper's input size."""
    macs = {row.network: row.macs["paper"] / 1e9 for row in _as_the_paper(files)}
    rows = [
        {
            "backbone": row.backbone,
            "alpha": row.alpha,
            "beta": row.beta,
            "row": row.network,
            "task": row.key[3],
            "seeds": row.seeds,
            **_interval("auc", row.frame_auc, 100),
            "gmacs": macs.get(row.network),
            "line": row,
        }
        for file in files
        if file.accuracy is not None
        for row in file.accuracy.rows
    ]
    return pd.DataFrame(rows)


def front(frame: pd.DataFrame, x: str, y: str, *, highest: bool = False) -> "pd.Series[bool]":
    """Which rows no other beats: none has less ``x`` without having more ``y`` (less, if ``highest``)."""
    worth = frame[y] if highest else -frame[y]
    order = np.lexsort((-worth, frame[x]))
    best, kept = -np.inf, np.zeros(len(frame), dtype=bool)
    for i in order:
        if worth.iloc[i] > best:
            best, kept[i] = worth.iloc[i], True
    return pd.Series(kept, index=frame.index)


def _as_the_paper(files: Sequence[ResultFile]) -> list[CostRow]:
    """Networks counted at the input size and with the number of classes that the paper's figures are of."""
    rows = (line.row for line in cost_lines(files))
    return [r for r in rows if (r.input_size, r.classes) == (printed_at(r.backbone), 2) and "paper" in r.macs]


def _giga(macs: int | None) -> float | None:
    return None if macs is None else macs / 1e9


def _spread(samples: Sequence[float]) -> list[float]:
    ordered = sorted(samples)
    if len(ordered) <= DRAWN:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (DRAWN - 1))] for i in range(DRAWN)]
