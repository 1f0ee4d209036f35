"""``sfic-bench latency`` and ``stage2``: how long networks and layers take, beside their vanilla forms."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, View, progress, say
from sfic_bench.errors import InvalidValue
from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout, NumberFormat
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.report.timing_tables import timing_tables
from sfic_bench.results.timing import TimingResult


def latency_command(
    backbone: options.Backbones = "resnet26",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = Device.CPU,
    dtype: options.DtypeOption = NumberFormat.FP32,
    batch_size: options.BatchSize = 4,
    input_size: options.InputSize = 256,
    layout: options.LayoutOption = MemoryLayout.CONTIGUOUS,
    training: options.Training = False,
    flush_l2: options.FlushL2 = True,
    energy: options.EnergyOption = True,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    max_seconds: options.MaxSeconds = 30.0,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Time networks on this machine, each against its vanilla form in the same rounds.

    Every path is first checked against the float64 reference on random input; a path with a wrong result gets no
    time. Results are written after each backbone, and Ctrl-C keeps what was finished.
    """
    grid = options.grid(backbone, alpha, beta, on_unsupported)
    options.report_kept(grid)
    conditions = Conditions(
        device=device, dtype=dtype, batch_size=batch_size, input_size=input_size, layout=layout, training=training,
        flush_l2=flush_l2, energy=energy,
    )  # fmt: skip
    _run(list(grid), options.paths(path), conditions, max_seconds, Output(format=format, path=output))


def stage2_command(
    channels: Annotated[int, typer.Option(metavar="C", help="Channels in and out.")] = 128,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width of S, pixels.")] = 32,
    kernel: Annotated[int, typer.Option(metavar="1|3", help="Kernel size; any odd number.")] = 3,
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = Device.CPU,
    dtype: options.DtypeOption = NumberFormat.FP32,
    batch_size: options.BatchSize = 4,
    layout: options.LayoutOption = MemoryLayout.CONTIGUOUS,
    training: options.Training = False,
    flush_l2: options.FlushL2 = True,
    energy: options.EnergyOption = True,
    max_seconds: options.MaxSeconds = 30.0,
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
        device=device, dtype=dtype, batch_size=batch_size, input_size=size, layout=layout, training=training,
        flush_l2=flush_l2, energy=energy,
    )  # fmt: skip
    _run(layers, options.paths(path), conditions, max_seconds, Output(format=format, path=output))


def _run(
    networks: Sequence[Variant | Stage2Layer], paths: Sequence[str], conditions: Conditions, max_seconds: float,
    out: Output,
) -> None:  # fmt: skip
    """Time everything; each family's rows are safe in ``--output`` before the next family begins.

    Raises:
        InvalidValue: for a time limit of 0 or less.
        typer.Exit: 130 after Ctrl-C, with what was finished written.
    """
    if not max_seconds > 0:
        raise InvalidValue(f"--max-seconds must be above 0, got {max_seconds}")
    # torch's memory profiler announces each start and stop on stderr; both variables are read when torch loads.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from sfic_bench import timing
    from sfic_bench.measure.sampler import Stop

    result: TimingResult | None = None
    interrupted = False
    with progress("timing", len({network.name for network in networks})) as advance:
        try:
            machine = timing.Machine.for_conditions(conditions)
            stop = Stop(max_seconds=max_seconds)
            for result in timing.measure(networks, paths, conditions, machine, stop, max_seconds):
                advance(result.families[-1].name)
                out.keep(_view(result))
        except KeyboardInterrupt:
            interrupted = True
    if result is not None:
        interrupted |= any(family.stopped_by == "interrupt" for family in result.families)
        out.emit(_view(result))
    if result is not None and all(row.status == "unavailable" for row in result.rows):
        say(f"sfic-bench: nothing could be measured: {result.rows[0].reason}")
        raise typer.Exit(2)
    if interrupted:
        say("sfic-bench: interrupted; the rows hold the rounds that were finished")
        raise typer.Exit(130)


def _view(result: TimingResult) -> View:
    return View(result=result, tables=timing_tables(result), rows=result.rows)
