"""``sfic-bench latency`` and ``stage2``: how long networks and layers take, beside their vanilla forms."""

from typing import Annotated

import typer

from sfic_bench.cli import measured, options
from sfic_bench.cli.output import Format, Output
from sfic_bench.conditions import Conditions
from sfic_bench.spec import PAPER_ALPHAS, PAPER_BETAS, Grid, Layer, Variant


def latency_command(
    backbone: options.Backbones = "resnet26",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = "cpu",
    dtype: options.DtypeOption = "fp32",
    batch_size: options.BatchSize = 4,
    input_size: options.InputSize = 256,
    layout: options.LayoutOption = "contiguous",
    training: options.Training = False,
    flush_l2: options.FlushL2 = True,
    energy: options.EnergyOption = True,
    on_unsupported: options.Unsupported = "error",
    max_seconds: options.MaxSeconds = 30.0,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Time networks on this machine, each against its vanilla form in the same rounds.

    Every path is first checked against the float64 reference on random input; a wrong one gets no
    time. Results are written after each backbone, and Ctrl-C keeps what was finished.
    """
    grid = options.grid(backbone, alpha, beta, on_unsupported)
    options.tell_kept(grid)
    measured.run(
        list(grid),
        options.paths(path),
        Conditions(
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            input_size=input_size,
            layout=layout,
            training=training,
            flush_l2=flush_l2,
            energy=energy,
        ),
        max_seconds,
        Output(format=format, path=output),
    )


def stage2_command(
    channels: Annotated[int, typer.Option(metavar="C", help="Channels in and out.")] = 128,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width of S, pixels.")] = 32,
    kernel: Annotated[int, typer.Option(metavar="1|3", help="Kernel size; any odd number.")] = 3,
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    path: options.PathsOption = "reference,fused",
    device: options.DeviceOption = "cpu",
    dtype: options.DtypeOption = "fp32",
    batch_size: options.BatchSize = 4,
    layout: options.LayoutOption = "contiguous",
    training: options.Training = False,
    flush_l2: options.FlushL2 = True,
    energy: options.EnergyOption = True,
    max_seconds: options.MaxSeconds = 30.0,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Time a single Stage 2 against the vanilla convolution that it replaces.

    As `sfic-bench latency`, for one layer: stride 1, padding that keeps the size, no bias.
    """
    alphas, betas = options.ratios(alpha, beta)
    grid = Grid(
        backbones=("stage2",),
        alphas=PAPER_ALPHAS if alphas is None else alphas,
        betas=PAPER_BETAS if betas is None else betas,
    )

    def layer(cell: Variant) -> Layer:
        return Layer(channels=channels, kernel_size=kernel, alpha=cell.alpha, beta=cell.beta)

    measured.run(
        [layer(cell) for cell in grid],
        options.paths(path),
        Conditions(
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            input_size=size,
            layout=layout,
            training=training,
            flush_l2=flush_l2,
            energy=energy,
        ),
        max_seconds,
        Output(format=format, path=output),
    )
