"""``sfic-bench latency`` and ``stage2``: how long networks and layers take, beside their vanilla forms."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from msgspec import Struct

import sfic_bench
from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, say
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.measure.conditions import Device, MemoryLayout, NumberFormat
from sfic_bench.results.timing import TimingResult

Given = ParamSpec("Given")


def latency_command(
    backbone: options.Backbones = "resnet26",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = Device.CPU.value,
    precision: options.PrecisionOption = NumberFormat.FP32,
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
    alphas, betas = options.ratios(alpha, beta)
    _run(
        format, output, sfic_bench.latency, options.parts(backbone), alpha=alphas, beta=betas, path=path, device=device,
        precision=precision, batch_size=options.batch_sizes(batch_size) or "auto", input_size=input_size, layout=layout,
        training=training, flush_l2=flush_l2, energy=energy, on_unsupported=on_unsupported, max_seconds=max_seconds,
        rounds=rounds, memory_limit=memory_limit, profile=profile, memory_snapshot=memory_snapshot,
    )  # fmt: skip


def stage2_command(
    channels: Annotated[int, typer.Option(metavar="C", help="Channels in and out.")] = 128,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width of S, pixels.")] = 32,
    kernel: Annotated[int, typer.Option(metavar="1|3", help="Kernel size; any odd number.")] = 3,
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = Device.CPU.value,
    precision: options.PrecisionOption = NumberFormat.FP32,
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
    _run(
        format, output, sfic_bench.stage2, channels=channels, size=size, kernel=kernel, alpha=alphas, beta=betas,
        path=path, device=device, precision=precision, batch_size=options.batch_sizes(batch_size) or "auto",
        layout=layout, training=training, flush_l2=flush_l2, energy=energy, max_seconds=max_seconds, rounds=rounds,
        memory_limit=memory_limit, profile=profile, memory_snapshot=memory_snapshot,
    )  # fmt: skip


def _run(
    format: Format,
    output: Path | None,
    measure: Callable[Given, TimingResult],
    *args: Given.args,
    **kwargs: Given.kwargs,
) -> None:
    """Measure, and write what is finished whatever happens.

    Raises:
        typer.Exit: 130 after Ctrl-C, with what was finished written; 2 if nothing could be measured.
    """
    out = Output(format=format, path=output)
    terminal = Terminal(out, view_of)
    kwargs["watch"] = terminal
    try:
        result: Struct | None = measure(*args, **kwargs)
        interrupted = False
    except KeyboardInterrupt:
        result, interrupted = terminal.latest, True
    if isinstance(result, TimingResult):
        interrupted |= any(family.stopped_by == "interrupt" for family in result.families)
        out.emit(view_of(result))
        if all(row.status == "unavailable" for row in result.rows):
            say(f"sfic-bench: nothing could be measured: {result.rows[0].reason}")
            raise typer.Exit(2)
    if interrupted:
        say("sfic-bench: interrupted; the rows hold the rounds that were finished")
        raise typer.Exit(130)
