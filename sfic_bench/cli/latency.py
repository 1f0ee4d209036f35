"""``sfic-bench latency`` and ``stage2``: how long networks and layers take, beside their vanilla forms."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, View, progress, say
from sfic_bench.errors import InvalidValue, check_count
from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout, NumberFormat, parse_bytes
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.timing import Family, TimingResult

if TYPE_CHECKING:
    from sfic_bench.timing import Machine
    from sfic_bench.timing.machine import CallRecorder
    from sfic_bench.timing.recording import FolderRecorder


def latency_command(
    backbone: options.Backbones = "resnet26",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = Device.CPU,
    dtype: options.DtypeOption = NumberFormat.FP32,
    batch_size: options.BatchSizes = "4",
    input_size: options.InputSize = 256,
    layout: options.LayoutOption = MemoryLayout.CONTIGUOUS,
    training: options.Training = False,
    flush_l2: options.FlushL2 = True,
    energy: options.EnergyOption = True,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    max_seconds: options.MaxSeconds = 30.0,
    rounds: options.Rounds = 10,
    memory_limit: options.MemoryLimit = None,
    profile: options.Profile = None,
    memory_snapshot: options.MemorySnapshot = None,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Time networks on this machine, each against its vanilla form in the same rounds.

    Every path is first checked against the float64 reference on random input; a path with a wrong result gets no
    time. Results are written after each backbone and batch size, and Ctrl-C keeps what was finished.
    """
    grid = options.grid(backbone, alpha, beta, on_unsupported)
    options.report_kept(grid)
    conditions = Conditions(
        device=device, dtype=dtype, input_size=input_size, layout=layout, training=training, flush_l2=flush_l2,
        energy=energy,
    )  # fmt: skip
    plan = _Plan(
        batch_sizes=options.batch_sizes(batch_size), max_seconds=max_seconds, rounds=rounds,
        memory_limit=memory_limit, profile=profile, memory_snapshot=memory_snapshot,
    )  # fmt: skip
    _run(list(grid), options.paths(path), conditions, plan, Output(format=format, path=output))


def stage2_command(
    channels: Annotated[int, typer.Option(metavar="C", help="Channels in and out.")] = 128,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width of S, pixels.")] = 32,
    kernel: Annotated[int, typer.Option(metavar="1|3", help="Kernel size; any odd number.")] = 3,
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = Device.CPU,
    dtype: options.DtypeOption = NumberFormat.FP32,
    batch_size: options.BatchSizes = "4",
    layout: options.LayoutOption = MemoryLayout.CONTIGUOUS,
    training: options.Training = False,
    flush_l2: options.FlushL2 = True,
    energy: options.EnergyOption = True,
    max_seconds: options.MaxSeconds = 30.0,
    rounds: options.Rounds = 10,
    memory_limit: options.MemoryLimit = None,
    profile: options.Profile = None,
    memory_snapshot: options.MemorySnapshot = None,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Time a single Stage 2 against the vanilla convolution that it replaces.

    It works as `sfic-bench latency`, for one layer with stride 1, padding that keeps the size, and no bias.
    """
    alphas, betas = options.ratios(alpha, beta)
    grid = Grid(
        backbones=("stage2",),
        alphas=PAPER_ALPHAS if alphas is None else alphas,
        betas=PAPER_BETAS if betas is None else betas,
    )
    layers = [Stage2Layer(channels=channels, kernel_size=kernel, alpha=v.alpha, beta=v.beta) for v in grid]
    conditions = Conditions(
        device=device, dtype=dtype, input_size=size, layout=layout, training=training, flush_l2=flush_l2, energy=energy,
    )  # fmt: skip
    plan = _Plan(
        batch_sizes=options.batch_sizes(batch_size), max_seconds=max_seconds, rounds=rounds,
        memory_limit=memory_limit, profile=profile, memory_snapshot=memory_snapshot,
    )  # fmt: skip
    _run(layers, options.paths(path), conditions, plan, Output(format=format, path=output))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What is done with each network, checked when it is made.

    Attributes:
        batch_sizes: ``None`` to search for them.
    """

    batch_sizes: tuple[int, ...] | None
    max_seconds: float
    rounds: int
    memory_limit: str | None
    profile: Path | None
    memory_snapshot: Path | None

    def __post_init__(self) -> None:
        if not self.max_seconds > 0:
            raise InvalidValue(f"--max-seconds must be above 0, got {self.max_seconds}")
        check_count("--rounds", self.rounds)
        if self.memory_limit is not None:
            parse_bytes(self.memory_limit)

    def recorders(self, device: Device) -> "list[FolderRecorder]":
        """What records calls, with its folders made.

        Raises:
            InvalidValue: for a memory snapshot on a CPU, of which torch has none.
            UnwritableOutput: for a folder that cannot be written to.
        """
        from sfic_bench.timing.recording import SnapshotFolder, TraceFolder

        recorders: list[FolderRecorder] = []
        if self.memory_snapshot is not None:
            if device is Device.CPU:
                raise InvalidValue(
                    "--memory-snapshot needs a CUDA device, since torch keeps no history of a CPU's memory; "
                    "--profile FOLDER draws how much is allocated there over time"
                )
            recorders.append(SnapshotFolder(self.memory_snapshot))
        return [*recorders, TraceFolder(self.profile)] if self.profile is not None else recorders

    def machine(self, conditions: Conditions, recorders: "Sequence[CallRecorder]") -> "Machine":
        """This machine with the memory that it may use, and with ``recorders``."""
        from sfic_bench.timing import Machine

        machine = Machine.for_conditions(conditions)
        limit = None if self.memory_limit is None else parse_bytes(self.memory_limit)
        return replace(machine, memory_limit=limit, recorders=recorders)


def _run(
    networks: Sequence[Variant | Stage2Layer], paths: Sequence[str], conditions: Conditions, plan: _Plan, out: Output
) -> None:
    """Time everything; each family's rows are safe in ``--output`` before the next family begins.

    Raises:
        typer.Exit: 130 after Ctrl-C, with what was finished written.
    """
    # torch's memory profiler announces each start and stop on stderr; both variables are read when torch loads.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from sfic_bench import timing
    from sfic_bench.measure.sampler import Stop

    recorders = plan.recorders(conditions.device)
    result: TimingResult | None = None
    interrupted = False
    with progress("timing", len({network.name for network in networks})) as advance:
        try:
            machine, stop = plan.machine(conditions, recorders), Stop.after(plan.max_seconds, plan.rounds)
            seconds, sizes = plan.max_seconds, plan.batch_sizes
            done = 0
            for result in timing.measure_batches(networks, paths, conditions, machine, stop, seconds, sizes):
                finished = _finished(result)
                advance(_place(result.families[-1]), finished - done)
                done = finished
                out.keep(_view(result))
        except KeyboardInterrupt:
            interrupted = True
    if result is not None:
        interrupted |= any(family.stopped_by == "interrupt" for family in result.families)
        out.emit(_view(result))
    for recorder in recorders:
        for row, reason in recorder.missed.items():
            say(f"sfic-bench: nothing recorded in {recorder.folder} of {row}: {reason}")
    if result is not None and all(row.status == "unavailable" for row in result.rows):
        say(f"sfic-bench: nothing could be measured: {result.rows[0].reason}")
        raise typer.Exit(2)
    if interrupted:
        say("sfic-bench: interrupted; the rows hold the rounds that were finished")
        raise typer.Exit(130)


def _finished(result: TimingResult) -> int:
    """The number of backbones or layers of which no more batch sizes follow."""
    open_curves = sum(curve.ended_by == "interrupt" for curve in result.curves)
    return len({family.name for family in result.families}) - open_curves


def _place(family: Family) -> str:
    return family.name if family.batch_size is None else f"{family.name}, batch {family.batch_size}"


def _view(result: TimingResult) -> View:
    from sfic_bench.report.timing_tables import timing_tables

    return View(result=result, tables=timing_tables(result), rows=result.rows)
