"""Result files as data frames for charts and tables: one frame for costs, one for times, and so on."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from sfic_bench.measure.conditions import Device
from sfic_bench.networks.variant import Variant
from sfic_bench.paper import CountedNetwork, accuracy_cells, audit, cost_cells, printed_at, variants_needed
from sfic_bench.reporting.cells import bounds, shape
from sfic_bench.reporting.cost_tables import DEFAULT, Counted, CountedLayer
from sfic_bench.reporting.timed import compared
from sfic_bench.reporting.timing_tables import described
from sfic_bench.results.audit import AuditRow
from sfic_bench.results.cost import CostRow
from sfic_bench.results.fields import label
from sfic_bench.results.read import ResultFile
from sfic_bench.results.scores import ScoresResult
from sfic_bench.results.timing import TimingResult
from sfic_bench.statistics.interval import Interval

DRAWN = 200
"""Samples of a row that a chart shows: evenly spaced order statistics, among them the least and the most."""

ALL_DRAWN = 20_000
"""Samples that the charts of a page show in all, but for five of each row, so that a browser can open it."""

NUMBERS = (
    *("ms", "ms_low", "ms_high", "ratio", "ratio_low", "ratio_high", "gmacs", "macs_ratio", "peak_mb"),
    *("batch", "images_s", "images_s_low", "images_s_high", "total_mb"),
)
"""Columns of `times` that are numbers, also where none is known."""


def costs(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row for each counted network; ``…_ratio`` is MACs over vanilla's of the same file and input.

    The column ``line`` holds the row itself with its vanilla row, for tables.
    """
    return pd.DataFrame(
        {
            "backbone": line.row.backbone,
            "alpha": line.row.alpha,
            "beta": line.row.beta,
            "row": line.row.network,
            "params": line.row.params,
            "unexplained": (line.row.params_over_vanilla or {}).get("unexplained"),
            "gmacs": _scaled(line.row.macs.get("paper"), 1e9),
            "paper_ratio": line.macs_ratio("paper"),
            "fused_ratio": line.fused_ratio,
            "line": line,
        }
        for line in cost_lines(files)
    )


def cost_lines(files: Sequence[ResultFile]) -> Iterator[Counted]:
    """Every counted network of every file beside its vanilla network."""
    for file in files:
        if file.cost is not None:
            vanilla = file.cost.vanilla()
            for row in file.cost.rows:
                yield Counted(row, vanilla.get(row.vanilla_key), file.path.name)


def times(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row for each timed path. Only rows with the same conditions, in the column ``setting``, may be compared.

    ``apart`` are the same conditions without the batch size, and ``of_curve`` says whether a file has several of them.
    The column ``line`` holds the row itself with its vanilla row, for tables.
    """
    rows = [
        {
            "file": file.path.name,
            "setting": setting(file, timing, line.batch_size),
            "apart": setting(file, timing, None),
            "of_curve": len(timing.batch_sizes) > 1,
            "batch": line.batch_size,
            "backbone": line.row.name,
            "alpha": line.row.alpha,
            "beta": line.row.beta,
            "path": line.row.key[3],
            "row": label(line.row.key),
            **interval_values("ms", line.row.latency_ms),
            **interval_values("ratio", line.row.ratio_to_vanilla),
            **interval_values("images_s", line.images_per_s),
            "interval": bounds(line.row.latency_ms, ".4g"),
            "images_interval": bounds(line.images_per_s, ".4g"),
            "ratio_interval": bounds(line.row.ratio_to_vanilla, ".3f"),
            "gmacs": _scaled(line.row.macs, 1e9),
            "macs_ratio": line.macs_ratio,
            "peak_mb": _scaled(line.peak_bytes, 1e6),
            "total_mb": _scaled(line.row.peak_bytes.get("total"), 1e6),
            "slower": line.row.fewer_macs_but_slower,
            "status": line.row.status,
            "remark": line.remark,
            "line": line,
        }
        for file, timing in _timed(files)
        for line in compared(timing)
    ]
    return _told_apart(pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, float))) if rows else pd.DataFrame()


def _timed(files: Sequence[ResultFile]) -> Iterator[tuple[ResultFile, TimingResult]]:
    """The files of times, each with its result."""
    for file in files:
        if file.timing is not None:
            yield file, file.timing


def setting(file: ResultFile, timing: TimingResult, batch: int | None) -> str:
    """The conditions of rows with a batch size in a line: ``inference, batch 4, 256×256, fp32, cpu, …``."""
    machine = file.environment
    parts = [described(timing, batch or ""), machine.processor]
    if timing.conditions is None:
        parts.append(machine.machine)
    else:
        parts += [
            f"oneDNN at most {machine.onednn_max_cpu_isa}" if machine.onednn_max_cpu_isa else "",
            f"{machine.threads} threads" if timing.conditions.device is Device.CPU else "",
            f"torch {machine.packages.get('torch')}",
        ]
    return ", ".join(part for part in parts if part)


def distributions(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row for each sample, in ms; at most `DRAWN` samples of each timed path, and `ALL_DRAWN` of all."""
    timed = [
        (file, setting(file, timing, line.batch_size), line.row)
        for file, timing in _timed(files)
        for line in compared(timing)
        if line.row.samples_ms
    ]
    most = min(DRAWN, max(5, ALL_DRAWN // max(1, len(timed))))
    rows = [
        (file.path.name, where, row.name, row.key[3], label(row.key), _spread(row.samples_ms, most))
        for file, where, row in timed
    ]
    columns = ["file", "setting", "backbone", "path", "row", "ms"]
    return _told_apart(pd.DataFrame(rows, columns=columns)).explode("ms").astype({"ms": float})


def _told_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the file in the label of rows that two files have under the same conditions."""
    files = frame.groupby(["setting", "row"])["file"].transform("nunique")
    return frame.assign(row=frame["row"].where(files == 1, frame["row"] + " (" + frame["file"] + ")"))


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
            "mmacs": _scaled(layer.macs.get(DEFAULT), 1e6),
            "line": CountedLayer(row.network, layer),
        }
        for row in layered[:most]
        for i, layer in enumerate(row.layers)
    ]
    return pd.DataFrame(rows), max(0, len(layered) - most)


def audited(files: Sequence[ResultFile]) -> list[AuditRow]:
    """The paper's printed parameters and FLOPs against counts: those of the files of ``audit``, if there are any.

    Otherwise they are those of the networks that other files counted under the paper's conditions.
    """
    if rows := {row.key: row for file in files if file.audit is not None for row in file.audit.rows}:
        return list(rows.values())
    counted = {
        Variant(backbone=row.backbone, alpha=row.alpha, beta=row.beta): CountedNetwork.of(row)
        for row in _counted_as_printed(files)
    }
    return audit([c for c in cost_cells() if counted.keys() >= set(variants_needed([c]))], counted)


def published(files: Sequence[ResultFile]) -> pd.DataFrame:
    """The paper's printed AUC beside MACs counted here; one row for each network and test set."""
    gmacs = _printed_gmacs(files)
    rows = [
        {
            "backbone": variant.backbone,
            "row": str(variant),
            "task": f"{cell.train_set} → {cell.test_set} (Table {cell.table})",
            "auc": cell.percent,
            "gmacs": gmacs[str(variant)],
        }
        for cell in accuracy_cells()
        if cell.metric == "AUC" and (variant := cell.variant) and str(variant) in gmacs
    ]
    return pd.DataFrame(rows)


def accuracies(files: Sequence[ResultFile]) -> pd.DataFrame:
    """One row for each network and experiment, with scores in percent, and MACs where a file has them.

    The column ``line`` holds the row itself, for tables.
    """
    gmacs = _printed_gmacs(files)
    rows = [
        {
            "backbone": row.backbone,
            "alpha": row.alpha,
            "beta": row.beta,
            "row": row.network,
            "task": row.key[3],
            **interval_values("auc", row.frame_auc, 100),
            "auc_interval": bounds(row.frame_auc, scale=100),
            "gmacs": gmacs.get(row.network),
            "line": row,
        }
        for file in files
        if file.accuracy is not None
        for row in file.accuracy.rows
    ]
    return pd.DataFrame(rows)


def reliability(scores: ScoresResult) -> pd.DataFrame:
    """One row for each range of the probability of fake that has images."""
    rows = [
        {"range": f"{of.low:.3f}–{of.high:.3f}", "mean": of.mean, "fakes": of.fakes, "images": of.images}
        for of in scores.reliability
    ]
    return pd.DataFrame(rows)


def front(frame: pd.DataFrame, x: str, y: str, *, highest: bool = False) -> "pd.Series[bool]":
    """Which rows no other row beats in both columns; less is better, but of ``y`` more is, if ``highest``."""
    worth = (frame[y] if highest else -frame[y]).to_numpy()
    order = np.lexsort((-worth, frame[x]))
    best_before = np.concatenate([[-np.inf], np.fmax.accumulate(worth[order])])[:-1]
    return pd.Series(worth[order] > best_before, index=frame.index[order]).reindex(frame.index)


def _counted_as_printed(files: Sequence[ResultFile]) -> list[CostRow]:
    """Networks counted at the input size and with the number of classes that the paper's figures are of."""
    rows = (line.row for line in cost_lines(files))
    return [r for r in rows if (r.input_size, r.classes) == (printed_at(r.backbone), 2) and "paper" in r.macs]


def _printed_gmacs(files: Sequence[ResultFile]) -> dict[str, float]:
    return {row.network: row.macs["paper"] / 1e9 for row in _counted_as_printed(files)}


def _scaled(count: int | None, unit: float) -> float | None:
    return None if count is None else count / unit


def interval_values(name: str, interval: Interval | None, scale: float = 1) -> dict[str, float | None]:
    """The columns ``name``, ``name_low`` and ``name_high``."""
    values = (None, None, None) if interval is None else (interval.estimate, interval.low, interval.high)
    scaled = (None if value is None else scale * value for value in values)
    return dict(zip((name, f"{name}_low", f"{name}_high"), scaled, strict=True))


def _spread(samples: Sequence[float], most: int) -> list[float]:
    if len(samples) <= most:
        return sorted(samples)
    spread: list[float] = np.quantile(samples, np.linspace(0, 1, most), method="nearest").tolist()
    return spread
