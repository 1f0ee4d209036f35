"""``sfic-bench latency``: how long networks take, beside their vanilla forms."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result, progress, say
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.report import Column, Table, environment
from sfic_bench.spec import EXECUTION_PATHS
from sfic_bench.units import format_count, format_ratio

if TYPE_CHECKING:
    from sfic_bench.latency import Conditions, Family, Row
    from sfic_bench.report.statistics import Estimate

SCHEMA = "sfic-bench/measurement/1"


def latency_command(
    backbone: options.Backbones = "resnet26",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: Annotated[
        str, typer.Option(metavar="NAME[,NAME…]|all", help="Execution paths; see `sfic-bench list`.")
    ] = "reference,fused",
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Where to run.")] = "cpu",
    dtype: Annotated[str, typer.Option(metavar="fp32|tf32|fp16|bf16", help="Number format.")] = "fp32",
    batch_size: Annotated[int, typer.Option(metavar="N", help="Images a call.")] = 4,
    input_size: options.InputSize = 256,
    channels_last: Annotated[bool, typer.Option(help="Store tensors channels last.")] = False,
    training: Annotated[bool, typer.Option(help="Time a training step: forward and backward.")] = False,
    max_seconds: Annotated[
        float, typer.Option(metavar="S", help="Time limit of a backbone's samples.")
    ] = 30.0,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Time networks on this machine, each against its vanilla form in the same rounds.

    Every path is first checked against the float64 reference on random input; a wrong one gets no
    time. Ctrl-C keeps what was finished.
    """
    grid = options.grid(backbone, alpha, beta)
    paths = list(EXECUTION_PATHS) if path == "all" else [p.strip() for p in path.split(",") if p.strip()]
    for name in paths:
        if name not in EXECUTION_PATHS:
            raise UnknownName("execution path", name, EXECUTION_PATHS)
    if not paths:
        raise InvalidValue("--path names no path; see `sfic-bench list`")
    if device not in ("cpu", "cuda"):
        raise UnknownName("device", device, ("cpu", "cuda"))
    if not max_seconds > 0:
        raise InvalidValue(f"--max-seconds must be above 0, got {max_seconds}")
    out = Output(format=format, path=output)
    # torch's memory profiler announces each start and stop on stderr; both are read when torch loads.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch

    from sfic_bench import latency
    from sfic_bench.measure import CpuClock, CudaClock, Stop

    conditions = latency.Conditions(
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        input_size=input_size,
        channels_last=channels_last,
        training=training,
    )
    on_cuda = device == "cuda" and torch.cuda.is_available()
    clock = CudaClock(torch.device(device)) if on_cuda else CpuClock()
    families = []
    with progress("timing", len(grid.backbones)) as step:
        stop = Stop(max_seconds=max_seconds)
        for family in latency.measure(grid, paths, conditions, clock, stop):
            families.append(family)
            step(family.rows[0].variant.backbone)
    rows = [_row(row, conditions) for family in families for row in family.rows]
    facts = environment() | {"threads": torch.get_num_threads(), "processor": _processor(device)}
    out.emit(
        Result(
            document={
                "schema": SCHEMA,
                "environment": facts,
                "families": [_family(family) for family in families],
                "rows": rows,
            },
            tables=[_table(families, conditions, facts)],
            records=[_flat(row) for row in rows],
        )
    )
    if any(family.stopped_by == "interrupt" for family in families):
        say("sfic-bench: interrupted; the rows hold the rounds that were finished")
        raise typer.Exit(130)


def _processor(device: str) -> str:
    import platform

    import torch

    if device == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return platform.processor() or platform.machine()


def _estimate(estimate: "Estimate | None") -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"median": estimate.median, "ci95": [estimate.low, estimate.high]}


def _row(row: "Row", conditions: "Conditions") -> dict[str, Any]:
    return {
        "backbone": row.variant.backbone,
        "alpha": row.variant.alpha,
        "beta": row.variant.beta,
        "path": row.path,
        "device": conditions.device,
        "dtype": conditions.dtype,
        "batch_size": conditions.batch_size,
        "input_size": conditions.input_size,
        "channels_last": conditions.channels_last,
        "training": conditions.training,
        "status": row.status,
        "reason": row.reason,
        "latency_ms": None
        if row.latency is None
        else {"samples": list(row.samples), **(_estimate(row.latency) or {})},
        "ratio_to_vanilla": _estimate(row.ratio),
        "setup_s": row.setup_s,
        "peak_bytes": dict(row.peak_bytes),
        "macs": row.macs,
        "max_abs_error": row.max_abs_error,
        "fewer_macs_but_slower": row.fewer_macs_but_slower,
    }


def _family(family: "Family") -> dict[str, Any]:
    return {
        "backbone": family.rows[0].variant.backbone,
        "rounds": family.rounds,
        "stopped_by": family.stopped_by,
        "vanilla_against_itself": _estimate(family.noise),
    }


def _flat(row: dict[str, Any]) -> dict[str, object]:
    """A row for CSV: medians and intervals; the samples stay in JSON."""
    flat = {k: v for k, v in row.items() if not isinstance(v, dict)}
    for name in ("latency_ms", "ratio_to_vanilla"):
        value = row[name]
        flat.pop(name, None)
        for part in ("median", "low", "high"):
            flat[f"{name}_{part}"] = None
        if value is not None:
            flat[f"{name}_median"] = value["median"]
            flat[f"{name}_low"], flat[f"{name}_high"] = value["ci95"]
    return flat | {f"bytes_{k}": v for k, v in row["peak_bytes"].items()}


def _table(families: Sequence["Family"], conditions: "Conditions", facts: dict[str, Any]) -> Table:
    columns = [Column(name="backbone")]
    columns += [Column(name=n, number=True) for n in ("α", "β")]
    columns += [Column(name="path")]
    columns += [Column(name=n, number=True) for n in ("ms", "÷ vanilla", "95% interval", "GMac")]
    columns += [Column(name=n, number=True, optional=True) for n in ("peak MB", "error", "set-up s")]
    columns += [Column(name="")]
    rows, sections, notes = [], set(), []
    for family in families:
        rows += [_cells(row) for row in family.rows]
        sections.add(len(rows) - 1)
        floor = ""
        if family.noise is not None:
            floor = f"; vanilla against itself: {family.noise.low:.3f} to {family.noise.high:.3f}"
        name = family.rows[0].variant.backbone
        notes.append(f"{name}: {family.rounds} rounds, stopped by {family.stopped_by}{floor}")
    what = "training step" if conditions.training else "inference"
    layout = "channels last" if conditions.channels_last else "contiguous"
    notes.append(f"{facts['processor']}, {facts['threads']} threads, torch {facts['packages']['torch']}")
    notes.append(
        "÷ vanilla: median of ratios paired by round, to vanilla on the same path; bootstrap interval"
    )
    size = conditions.input_size
    return Table(
        title=f"{what} of {conditions.batch_size}×3×{size}×{size}, {conditions.dtype}, {layout}, {conditions.device}",
        columns=columns,
        rows=rows,
        notes=notes,
        sections=frozenset(sections),
    )


def _cells(row: "Row") -> list[str]:
    variant = row.variant
    ratio = ("", "")
    if row.ratio is not None:
        ratio = (f"{row.ratio.median:.3f}", f"{row.ratio.low:.3f}–{row.ratio.high:.3f}")
    remark = row.reason or ("fewer MACs but slower" if row.fewer_macs_but_slower else "")
    return [
        variant.backbone,
        format_ratio(variant.alpha),
        format_ratio(variant.beta),
        row.path,
        row.status if row.latency is None else f"{row.latency.median:.2f}",
        *ratio,
        "" if row.macs is None else format_count(row.macs, "G"),
        format_count(row.peak_bytes["peak_allocated"], "M", 1) if "peak_allocated" in row.peak_bytes else "",
        "" if row.max_abs_error is None else f"{row.max_abs_error:.1e}",
        f"{row.setup_s:.1f}" if row.setup_s else "",
        remark,
    ]
