"""What commands write, as JSON documents: each row with its units in the names, raw samples, and the machine."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sfic_bench.conditions import Conditions
from sfic_bench.report.environment import environment, version_of
from sfic_bench.spec import Layer, Variant

if TYPE_CHECKING:
    from sfic_bench.api import Costed
    from sfic_bench.latency import Family, Machine, Row
    from sfic_bench.report.statistics import Estimate

COST = "sfic-bench/cost/1"
MEASUREMENT = "sfic-bench/measurement/1"


def cost(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What ``flops`` writes, of rows from `cost_row`."""
    return {"schema": COST, "environment": environment(), "rows": list(rows)}


def cost_row(costed: "Costed", input_size: int, classes: int) -> dict[str, Any]:
    """Of one network, counted on images of ``input_size`` pixels."""
    variant, cost, parity = costed.variant, costed.cost, costed.parity
    return {
        "backbone": variant.backbone,
        "alpha": variant.alpha,
        "beta": variant.beta,
        "input_size": input_size,
        "classes": classes,
        "params": cost.parameters.total,
        "params_trainable": cost.parameters.trainable,
        "params_dead": cost.parameters.dead,
        "params_over_vanilla": None
        if parity is None
        else {**parity.terms, "unexplained": parity.unexplained},
        "macs": {name: total.macs for name, total in cost.totals.items()},
        "macs_fused": None if costed.fused is None else costed.fused.macs,
        "unsupported": {
            name: dict(total.unsupported) for name, total in cost.totals.items() if total.unsupported
        },
        "activations": cost.activations,
        "bytes_moved": cost.bytes_moved,
    }


def measurement(
    families: "Sequence[Family]", conditions: Conditions, machine: "Machine", facts: dict[str, Any]
) -> dict[str, Any]:
    """What ``latency`` and ``stage2`` write; ``facts`` from `machine_facts`."""
    peak = machine.peak
    return {
        "schema": MEASUREMENT,
        "environment": facts,
        "peak": None if peak is None else {"macs_per_s": peak.macs_per_s, "bytes_per_s": peak.bytes_per_s},
        "families": [_family(family) for family in families],
        "rows": [_row(row, conditions) for family in families for row in family.rows],
    }


def machine_facts(conditions: Conditions, machine: "Machine") -> dict[str, Any]:
    """The environment with the device that ``conditions`` name."""
    import torch

    facts: dict[str, Any] = environment() | {"threads": torch.get_num_threads()}
    if conditions.device == "cpu":
        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        # Convolutions on a CPU are oneDNN's, which this variable holds to older instructions.
        facts["onednn_max_cpu_isa"] = os.environ.get("ONEDNN_MAX_CPU_ISA")
    if conditions.device == "cuda" and torch.cuda.is_available():
        facts |= {"processor": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
        facts["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts["cudnn_benchmark"] = True  # see `sfic_bench.conditions.cuda_libraries`
        facts["triton"] = version_of("triton")
    if machine.monitor is not None:
        facts["driver"] = machine.monitor.driver
    return facts


def _estimate(estimate: "Estimate | None") -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"median": estimate.median, "ci95": [estimate.low, estimate.high]}


def _identity(what: Variant | Layer) -> dict[str, Any]:
    ratios = {"alpha": what.alpha, "beta": what.beta}
    if isinstance(what, Variant):
        return {"backbone": what.backbone, **ratios}
    layer = {"layer": "stage2", "channels": what.channels, "kernel_size": what.kernel_size}
    return {"backbone": None, **layer, **ratios}


def _row(row: "Row", conditions: Conditions) -> dict[str, Any]:
    latency = None
    if row.latency is not None:
        latency = {"samples": list(row.samples), **(_estimate(row.latency) or {})}
        if row.readings:
            latency["sm_clock_mhz"] = [r.sm_clock_mhz for r in row.readings]
            latency["throttled"] = [list(r.throttled) for r in row.readings]
    return {
        **_identity(row.what),
        "path": row.path,
        "l2": row.l2,
        "device": conditions.device,
        "dtype": conditions.dtype,
        "batch_size": conditions.batch_size,
        "input_size": conditions.input_size,
        "channels_last": row.channels_last,
        "training": conditions.training,
        "status": row.status,
        "reason": row.reason,
        "latency_ms": latency,
        "ratio_to_vanilla": _estimate(row.ratio),
        "floor_ms": row.floor_ms,
        "setup_s": row.setup_s,
        "energy_per_image_j": row.energy_j,
        "peak_bytes": dict(row.peak_bytes),
        "macs": row.macs,
        "max_abs_error": _finite(row.max_abs_error),
        "gradient_error": _finite(row.gradient_error),
        "fewer_macs_but_slower": row.fewer_macs_but_slower,
    }


def _finite(value: float | None) -> float | str | None:
    """JSON has no infinity and no NaN; their names tell more than nothing."""
    return value if value is None or abs(value) < float("inf") else str(value)


def _family(family: "Family") -> dict[str, Any]:
    return {
        "name": family.name,
        "rounds": family.rounds,
        "stopped_by": family.stopped_by,
        "vanilla_against_itself": _estimate(family.noise),
        "best": [
            {
                **_identity(best.row.what),
                "path": best.row.path,
                "channels_last": best.row.channels_last,
                "vanilla_path": best.vanilla.path,
                "vanilla_channels_last": best.vanilla.channels_last,
                "ratio_to_vanilla": _estimate(best.ratio),
            }
            for best in family.best
        ],
    }
