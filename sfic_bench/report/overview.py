"""Records of many files as data frames for tables and charts: one for costs, one for times, and so on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sfic_bench.paper import (
    Figures,
    Verdicted,
    accuracy_cells,
    audit,
    cost_cells,
    printed_at,
    variants_needed,
)
from sfic_bench.report.records import Records
from sfic_bench.report.rows import CostRow, MeasuredRow, PytestRow, Row, label
from sfic_bench.report.statistics import median_of
from sfic_bench.spec import Variant
from sfic_bench.units import format_layout

DRAWN = 200
"""Samples of a row that a chart shows: evenly spaced order statistics, the least and the most among them."""


def costs(files: Sequence[Records]) -> pd.DataFrame:
    """One row a counted network. MACs are in 10⁹; ``…_ratio`` is over vanilla of the same file and input."""
    rows = []
    for file in files:
        vanilla = {(r.backbone, r.input_size, r.classes): r for r in file.costs if _is_vanilla(r)}
        for row in file.costs:
            base = vanilla.get((row.backbone, row.input_size, row.classes))
            rows.append(
                {
                    "file": file.path.name,
                    "backbone": row.backbone,
                    "alpha": row.alpha,
                    "beta": row.beta,
                    "row": label((row.backbone, row.alpha, row.beta, "")),
                    "input": f"{row.input_size}×{row.input_size}, {row.classes} classes",
                    "params": row.params,
                    "over_vanilla": None if base is None or _is_vanilla(row) else row.params - base.params,
                    "unexplained": (row.params_over_vanilla or {}).get("unexplained"),
                    "paper": _giga(row.macs.get("paper")),
                    "conv_linear": _giga(row.macs.get("conv-linear")),
                    "fused": _giga(row.macs_fused),
                    "paper_ratio": _over(row, base, "paper"),
                    "conv_linear_ratio": _over(row, base, "conv-linear"),
                    "fused_ratio": None
                    if base is None
                    or row.macs_fused is None
                    or _is_vanilla(row)
                    or not base.macs.get("conv-linear")
                    else row.macs_fused / base.macs["conv-linear"],
                    "activations": row.activations,
                    "bytes_moved": row.bytes_moved,
                }
            )
    return pd.DataFrame(rows)


def times(files: Sequence[Records]) -> pd.DataFrame:
    """One row a timed path. ``setting`` says under which conditions; only rows of the same may be compared."""
    rows = []
    for file in files:
        vanilla = {(r.name, r.key[3]): r for r in file.measured if r.is_vanilla}
        for row in file.rows:
            match row:
                case MeasuredRow():
                    found = _measured(row, vanilla.get((row.name, row.key[3])))
                case PytestRow():
                    latency = median_of(row.samples_ms)
                    found = dict.fromkeys(_MEASURED) | {
                        "ms": latency.median,
                        "ms_low": latency.low,
                        "ms_high": latency.high,
                        "samples": len(row.samples_ms),
                        "slower": False,
                        "status": "ok",
                        "remark": "",
                    }
                case _:
                    continue
            name, alpha, beta, path = row.key
            identity = {"backbone": name, "alpha": alpha, "beta": beta, "path": path, "row": label(row.key)}
            rows.append({"file": file.path.name, "setting": setting(file), **identity, **found})
    numbers = dict.fromkeys([n for n in _MEASURED if n not in ("slower", "status", "remark")], float)
    return _told_apart(pd.DataFrame(rows).astype(numbers)) if rows else pd.DataFrame()


def _told_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """With the file in the label of rows that two files have under the same conditions."""
    files = frame.groupby(["setting", "row"])["file"].transform("nunique")
    return frame.assign(row=frame["row"].where(files == 1, frame["row"] + " (" + frame["file"] + ")"))


_MEASURED = (
    "ms", "ms_low", "ms_high", "samples", "ratio", "ratio_low", "ratio_high", "gmacs", "macs_ratio",
    "over_floor", "peak_mb", "slower", "status", "remark",
)  # fmt: skip


def _measured(row: MeasuredRow, vanilla: MeasuredRow | None) -> dict[str, object]:
    latency, ratio = row.latency_ms, row.ratio_to_vanilla
    found: dict[str, object] = dict.fromkeys(_MEASURED) | {
        "gmacs": _giga(row.macs),
        "slower": row.fewer_macs_but_slower,
        "status": row.status,
        "remark": "fewer MACs but slower" if row.fewer_macs_but_slower else row.reason,
    }
    if latency is not None:
        found |= {"ms": latency.median, "ms_low": latency.ci95[0], "ms_high": latency.ci95[1]}
        found["samples"] = len(latency.samples)
        if row.floor_ms is not None:
            found["over_floor"] = latency.median / row.floor_ms
    if ratio is not None:
        found |= {"ratio": ratio.median, "ratio_low": ratio.ci95[0], "ratio_high": ratio.ci95[1]}
    if vanilla is not None and not row.is_vanilla and row.macs and vanilla.macs:
        found["macs_ratio"] = row.macs / vanilla.macs
    if "peak_allocated" in row.peak_bytes:
        found["peak_mb"] = row.peak_bytes["peak_allocated"] / 1e6
    return found


def setting(file: Records) -> str:
    """The conditions of a measurement in a line: ``inference, batch 4, 256×256, fp32, cpu, …``."""
    found = file.conditions()
    if file.kind == "pytest-benchmark":
        parts = ["pytest-benchmark", found["processor"], found["machine"]]
        return ", ".join(str(part) for part in parts if part)
    parts = [
        "training step" if found["training"] else "inference",
        f"batch {found['batch_size']}",
        f"{found['input_size']}×{found['input_size']}",
        found["dtype"],
        format_layout(last) if isinstance(last := found["channels_last"], bool) else "both layouts",
        found["device"],
        found["processor"],
        f"oneDNN at most {found['onednn_max_cpu_isa']}" if found["onednn_max_cpu_isa"] else "",
        f"{found['threads']} threads" if found["device"] == "cpu" else "",
        f"torch {found['torch']}",
    ]
    return ", ".join(str(part) for part in parts if part)


def distributions(files: Sequence[Records]) -> pd.DataFrame:
    """Samples in ms, long: one row a sample, at most `DRAWN` for each timed path."""
    parts = [
        (file.path.name, setting(file), row.key[0], row.key[3], label(row.key), _spread(samples))
        for file in files
        for row in file.rows
        if (samples := _samples(row))
    ]
    columns = ["file", "setting", "backbone", "path", "row", "ms"]
    return _told_apart(pd.DataFrame(parts, columns=columns)).explode("ms").astype({"ms": float})


def layers(files: Sequence[Records], most: int) -> tuple[pd.DataFrame, int]:
    """Layers of the first ``most`` networks that have them, and how many networks were left out."""
    found = [(file, row) for file in files for row in file.costs if row.layers]
    rows = [
        {
            "row": label((row.backbone, row.alpha, row.beta, "")),
            "order": i,
            "layer": layer.path or "(network)",
            "kind": layer.kind,
            "input": "×".join(map(str, layer.input[1:])),
            "output": "×".join(map(str, layer.output[1:])),
            "params": layer.params,
            "mmacs": None if (macs := layer.macs.get("conv-linear")) is None else macs / 1e6,
        }
        for _, row in found[:most]
        for i, layer in enumerate(row.layers)
    ]
    return pd.DataFrame(rows), max(0, len(found) - most)


def paper_cells(files: Sequence[Records]) -> list[Verdicted]:
    """The paper's printed parameters and FLOPs against those counted, where the network was counted as it does."""
    counted = {
        Variant(backbone=r.backbone, alpha=r.alpha, beta=r.beta): Figures(
            params=r.params,
            macs=r.macs["paper"],
            conv_biases=(r.params_over_vanilla or {}).get("convolution biases", 0),
        )
        for r in _as_the_paper(files)
    }
    return audit([c for c in cost_cells() if counted.keys() >= set(variants_needed([c]))], counted)


def published(files: Sequence[Records]) -> pd.DataFrame:
    """The paper's printed AUC beside MACs counted here; one row a network and test set."""
    macs = {(r.backbone, r.alpha, r.beta): r.macs["paper"] / 1e9 for r in _as_the_paper(files)}
    rows = [
        {
            "backbone": v.backbone,
            "row": label((v.backbone, v.alpha, v.beta, "")),
            "task": f"{cell.train_set} → {cell.test_set} (Table {cell.table})",
            "auc": cell.percent,
            "gmacs": macs[v.backbone, v.alpha, v.beta],
        }
        for cell in accuracy_cells()
        if cell.metric == "AUC" and (v := cell.variant) and (v.backbone, v.alpha, v.beta) in macs
    ]
    return pd.DataFrame(rows)


def accuracies(files: Sequence[Records]) -> pd.DataFrame:
    """One row a network and experiment, scores in percent; MACs where some file has them, at the paper's input size."""
    macs = {(r.backbone, r.alpha, r.beta): r.macs["paper"] / 1e9 for r in _as_the_paper(files)}
    rows = []
    for file in files:
        for row in file.accuracies:
            found = {"file": file.path.name, "backbone": row.backbone, "alpha": row.alpha, "beta": row.beta}
            found |= {
                "row": label((row.backbone, row.alpha, row.beta, "")),
                "task": row.key[3],
                "seeds": row.seeds,
            }
            scores = {"auc": row.frame_auc, "bacc": row.frame_bacc, "video_auc": row.video_auc}
            for name, score in (scores | {"gain": row.auc_over_vanilla}).items():
                low, high = (None, None) if score is None or score.ci95 is None else score.ci95
                value = None if score is None else score.value
                found |= {name: _percent(value), f"{name}_low": _percent(low), f"{name}_high": _percent(high)}
            found |= {"printed": row.auc_printed, "gmacs": macs.get((row.backbone, row.alpha, row.beta))}
            rows.append(found)
    return pd.DataFrame(rows)


def _percent(share: float | None) -> float:
    return float("nan") if share is None else 100 * share


def front(frame: pd.DataFrame, x: str, y: str, *, highest: bool = False) -> "pd.Series[bool]":
    """Which rows no other beats: none has less ``x`` without having more ``y`` (less, if ``highest``)."""
    worth = frame[y] if highest else -frame[y]
    order = np.lexsort((-worth, frame[x]))
    best, kept = -np.inf, np.zeros(len(frame), dtype=bool)
    for i in order:
        if worth.iloc[i] > best:
            best, kept[i] = worth.iloc[i], True
    return pd.Series(kept, index=frame.index)


def _as_the_paper(files: Sequence[Records]) -> list[CostRow]:
    """Networks counted at the input size and with the number of classes that the paper's figures are of."""
    rows = (row for file in files for row in file.costs)
    return [r for r in rows if (r.input_size, r.classes) == (printed_at(r.backbone), 2) and "paper" in r.macs]


def _is_vanilla(row: CostRow) -> bool:
    return row.alpha is None and row.beta is None


def _giga(macs: int | None) -> float | None:
    return None if macs is None else macs / 1e9


def _over(row: CostRow, base: CostRow | None, convention: str) -> float | None:
    if base is None or _is_vanilla(row) or not base.macs.get(convention) or convention not in row.macs:
        return None
    return row.macs[convention] / base.macs[convention]


def _samples(row: Row) -> Sequence[float]:
    match row:
        case MeasuredRow():
            return () if row.latency_ms is None else row.latency_ms.samples
        case PytestRow():
            return row.samples_ms
        case _:
            return ()


def _spread(samples: Sequence[float]) -> list[float]:
    ordered = sorted(samples)
    if len(ordered) <= DRAWN:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (DRAWN - 1))] for i in range(DRAWN)]
