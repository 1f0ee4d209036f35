"""Timing from a command line: run, keep what is finished, and write it as document, tables and records."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from sfic_bench import documents
from sfic_bench.cli.output import Output, Result, progress, say
from sfic_bench.conditions import Conditions
from sfic_bench.errors import InvalidValue
from sfic_bench.report import Column, Table
from sfic_bench.spec import Layer, Variant
from sfic_bench.units import format_count, format_layout, format_ratio

if TYPE_CHECKING:
    from sfic_bench.latency import Best, Family, Machine, Row
    from sfic_bench.report.statistics import Estimate


def run(
    what: Sequence[Variant | Layer],
    paths: Sequence[str],
    conditions: Conditions,
    max_seconds: float,
    out: Output,
) -> None:
    """Time everything asked for; each family's rows are safe in ``--output`` before the next begins.

    Raises:
        InvalidValue: for a time limit of 0 or less.
        typer.Exit: 130 after Ctrl-C, with what was finished written.
    """
    if not max_seconds > 0:
        raise InvalidValue(f"--max-seconds must be above 0, got {max_seconds}")
    # torch's memory profiler announces each start and stop on stderr; both are read when torch loads.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from sfic_bench import latency
    from sfic_bench.measure import Stop

    families: list[Family] = []
    interrupted = False
    machine: Machine | None = None
    with progress("timing", len({w.name for w in what})) as step:
        try:
            machine = latency.Machine.for_conditions(conditions)
            facts = documents.machine_facts(conditions, machine)
            for family in latency.measure(what, paths, conditions, machine, Stop(max_seconds=max_seconds)):
                families.append(family)
                step(family.name)
                out.keep(result(families, conditions, machine, facts))
        except KeyboardInterrupt:
            interrupted = True
    interrupted |= any(family.stopped_by == "interrupt" for family in families)
    if families and machine is not None:
        out.emit(result(families, conditions, machine, facts))
    if interrupted:
        say("sfic-bench: interrupted; the rows hold the rounds that were finished")
        raise typer.Exit(130)


def result(
    families: "Sequence[Family]", conditions: Conditions, machine: "Machine", facts: dict[str, Any]
) -> Result:
    """What was found so far, in every form it can be asked for."""
    document = documents.measurement(families, conditions, machine, facts)
    tables = [_table(families, conditions, machine, facts)]
    if any(family.best for family in families):
        tables.append(_best_table(families))
    return Result(
        document=document,
        tables=tables,
        records=[_flat(row) for row in document["rows"]],
    )


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


def _table(
    families: "Sequence[Family]", conditions: Conditions, machine: "Machine", facts: dict[str, Any]
) -> Table:
    columns = [Column(name="")]
    columns += [Column(name=n, number=True) for n in ("α", "β")]
    columns += [Column(name="path"), Column(name="layout", optional=True), Column(name="L2", optional=True)]
    columns += [Column(name=n, number=True) for n in ("ms", "÷ vanilla", "95% interval", "GMac")]
    optional = ("÷ floor", "peak MB", "mJ/image", "error", "set-up s")
    columns += [Column(name=n, number=True, optional=True) for n in optional]
    columns += [Column(name="remark")]
    rows: list[list[str]] = []
    sections, notes = set(), []
    both = conditions.layout == "both"
    for family in families:
        rows += [_cells(row, both) for row in family.rows]
        sections.add(len(rows) - 1)
        noise = ""
        if family.noise is not None:
            noise = f"; vanilla against itself: {family.noise.low:.3f} to {family.noise.high:.3f}"
        notes.append(f"{family.name}: {family.rounds} rounds, stopped by {family.stopped_by}{noise}")
    kept = [i for i in range(len(columns)) if i < 4 or any(row[i] for row in rows)]
    limited = f", oneDNN at most {isa}" if (isa := facts.get("onednn_max_cpu_isa")) else ""
    notes.append(
        f"{facts['processor']}{limited}, {facts['threads']} threads, torch {facts['packages']['torch']}"
    )
    if machine.unwatched and conditions.device == "cuda":
        notes.append(f"no SM clock, throttling or energy: {machine.unwatched}")
    notes.append(
        f"÷ vanilla: median of ratios paired by round, same path{' and layout' if both else ''}; bootstrap interval"
    )
    if machine.peak is not None:
        notes.append(
            f"÷ floor: over the roofline of {machine.peak.macs_per_s / 1e9:,.0f} GMac/s (matrix product) "
            f"and {machine.peak.bytes_per_s / 1e9:,.0f} GB/s (copy), both measured in this run"
        )
    what = "training step" if conditions.training else "inference"
    layout = "both layouts" if both else conditions.layout.replace("-", " ")
    size = f"batch {conditions.batch_size}, {conditions.input_size}×{conditions.input_size}"
    return Table(
        title=f"{what}, {size}, {conditions.dtype}, {layout}, {conditions.device}",
        columns=[columns[i] for i in kept],
        rows=[[row[i] for i in kept] for row in rows],
        notes=notes,
        sections=frozenset(sections),
    )


def _cells(row: "Row", both: bool) -> list[str]:
    remarks = [row.reason] if row.reason else []
    if row.fewer_macs_but_slower:
        remarks.append("fewer MACs but slower")
    if row.throttled:
        remarks.append(f"{row.throttled} of {len(row.samples)} samples throttled")
    over = row.over_floor
    return [
        row.what.name,
        format_ratio(row.what.alpha),
        format_ratio(row.what.beta),
        row.path,
        format_layout(row.channels_last) if both else "",
        row.l2 or "",
        row.status if row.latency is None else f"{row.latency.median:.2f}",
        *_ratio_cells(row.ratio),
        "" if row.macs is None else format_count(row.macs, "G"),
        "" if over is None else f"{over:.2f}",
        format_count(row.peak_bytes["peak_allocated"], "M", 1) if "peak_allocated" in row.peak_bytes else "",
        "" if row.energy_j is None else f"{1e3 * row.energy_j:.1f}",
        "" if row.max_abs_error is None else f"{row.max_abs_error:.1e}",
        f"{row.setup_s:.1f}" if row.setup_s else "",
        "; ".join(remarks),
    ]


def _ratio_cells(ratio: "Estimate | None") -> tuple[str, str]:
    return ("", "") if ratio is None else (f"{ratio.median:.3f}", f"{ratio.low:.3f}–{ratio.high:.3f}")


def _best_table(families: "Sequence[Family]") -> Table:
    """Best path against vanilla's best path."""
    best: list[Best] = [b for family in families for b in family.best]
    columns = [Column(name="")]
    columns += [Column(name=n, number=True) for n in ("α", "β")]
    columns += [Column(name=n) for n in ("path", "layout", "vanilla's path", "vanilla's layout")]
    columns += [Column(name=n, number=True) for n in ("÷ vanilla", "95% interval", "MACs ÷")]
    rows = []
    for b in best:
        what = b.row.what
        macs = "" if b.row.macs is None or not b.vanilla.macs else f"{b.row.macs / b.vanilla.macs:.3f}"
        ratios = (format_ratio(what.alpha), format_ratio(what.beta))
        paths = [part for r in (b.row, b.vanilla) for part in (r.path, format_layout(r.channels_last))]
        rows.append([what.name, *ratios, *paths, *_ratio_cells(b.ratio), macs])
    title = "The fastest path and layout of each network against vanilla's fastest, best against best"
    return Table(title=title, columns=columns, rows=rows)
