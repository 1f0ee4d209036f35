"""Small result files with the content that the commands write."""

from collections.abc import Iterable, Sequence
from typing import Any


def timing_row(
    name: str, samples: Iterable[float] | None, *, sfic: bool = True, path: str = "fused", **more: Any
) -> dict[str, Any]:
    """A row of ``latency``; ``samples`` in ms, or ``None`` for a path without a time."""
    latency = None
    if samples is not None:
        times = [float(s) for s in samples]
        latency = {
            "samples": times,
            "median": sorted(times)[len(times) // 2],
            "ci95": [min(times), max(times)],
        }
    row = {
        "backbone": name,
        "alpha": 0.5 if sfic else None,
        "beta": 1.0 if sfic else None,
        "path": path,
        "l2": None,
        "device": "cpu",
        "dtype": "fp32",
        "batch_size": 4,
        "input_size": 256,
        "channels_last": False,
        "training": False,
        "status": "ok" if samples is not None else "unavailable",
        "reason": "" if samples is not None else "needs a CUDA device",
        "latency_ms": latency,
        "ratio_to_vanilla": None,
        "peak_bytes": {"parameters": 1000, "peak_allocated": 20_000, "process_rss": 3},
        "macs": 12_345,
        "fewer_macs_but_slower": False,
    }
    return row | more


def timing_file(rows: Sequence[dict[str, Any]], **environment: Any) -> dict[str, Any]:
    """A result file of ``latency``; ``environment`` replaces or adds facts about the machine."""
    facts = {"processor": "Z80", "cpu_count": 2, "threads": 2, "packages": {"torch": "2.13.0"}}
    return {
        "schema": "sfic-bench/measurement/1",
        "environment": facts | environment,
        "peak": None,
        "families": [{"name": "net", "rounds": 30, "stopped_by": "time", "vanilla_against_itself": None, "best": []}],
        "rows": list(rows),
    }


def cost_file(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A result file of ``flops``."""
    return {"schema": "sfic-bench/cost/1", "environment": {}, "rows": list(rows)}


def cost_row(name: str, **more: Any) -> dict[str, Any]:
    """A row of ``flops``."""
    row = {
        "backbone": name,
        "alpha": None,
        "beta": None,
        "input_size": 256,
        "classes": 2,
        "params": 1000,
        "params_trainable": 1000,
        "params_dead": 0,
        "params_over_vanilla": None,
        "macs": {"paper": 500, "conv-linear": 400},
        "macs_fused": 400,
        "unsupported": {},
        "activations": 10,
        "bytes_moved": 20,
    }
    return row | more


def accuracy_file(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A result file of ``accuracy``."""
    return {"schema": "sfic-bench/accuracy/1", "environment": {}, "protocol": "intra", "rows": list(rows)}


def accuracy_row(name: str, auc: float, **more: Any) -> dict[str, Any]:
    """A row of ``accuracy``."""
    score = {"value": auc, "ci95": [auc - 0.1, auc + 0.05]}
    row = {
        "train_on": "orl hq",
        "test_on": "orl hq",
        "backbone": name,
        "alpha": None,
        "beta": None,
        "seeds": 3,
    }
    names = ("frame_auc", "frame_bacc", "video_auc", "video_bacc")
    return row | dict.fromkeys(names, score) | {"auc_printed": None} | more


def bench_file(seconds: dict[str, Sequence[float]]) -> dict[str, Any]:
    """A file of pytest-benchmark: each benchmark's name and its samples in seconds."""
    return {
        "machine_info": {
            "machine": "x86_64",
            "python_version": "3.11.7",
            "cpu": {"brand_raw": "Z80", "count": 2},
        },
        "benchmarks": [
            {"fullname": name, "name": name, "stats": {"data": [float(s) for s in data], "min": 1}}
            for name, data in seconds.items()
        ],
        "datetime": "2026-01-01",
        "version": "5.3.1",
    }
