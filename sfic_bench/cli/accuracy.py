"""``sfic-bench accuracy``: a protocol over a grid of networks and several seeds."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.recipe_options import with_recipe
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.processes import is_first_process
from sfic_bench.training.recipe import EvaluationProtocol, Recipe, TrainingDevices


@with_recipe(without=("seed",))
def accuracy_command(
    *,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; finished runs are not repeated.")],
    protocol: Annotated[
        EvaluationProtocol, typer.Option(help="Which data are trained on, and which are tested.")
    ] = EvaluationProtocol.INTRA,
    backbone: options.Backbones = "resnet26",
    alpha: Annotated[str | None, options.alphas_option(".5; none for detectors")] = None,
    beta: Annotated[str | None, options.betas_option("1")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Backbone whose vanilla network all others are compared with, such as one that takes as long. "
            "Default: each network's own backbone.",
        ),
    ] = None,
    no_vanilla: Annotated[
        bool, typer.Option("--no-vanilla", help="Train no vanilla network but that of --against.")
    ] = False,
    data: Annotated[str, typer.Option(metavar="MANIFEST[,…]|orl", help="Manifests, or the embedded default.")] = "orl",
    compression: training_options.Compression = "",
    seeds: Annotated[str, typer.Option(metavar="N[,N…]", help="Seeds; each network has a run for each.")] = "7",
    recipe: Recipe,
    devices: TrainingDevices,
    logger: training_options.LoggerOption = None,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Train and score a grid of networks by one of the paper's protocols, each with several seeds.

    Finished runs are not repeated, and stopped runs are resumed, so that the same command completes or extends
    a grid. The paper's figure is shown beside the measured one if the data are the paper's.
    """
    alphas, betas = options.ratios(alpha, beta)
    out = Output(format=format, path=output)
    result = sfic_bench.accuracy(
        runs, protocol=protocol, backbone=options.parts(backbone), alpha=alphas, beta=betas, against=against,
        vanilla=not no_vanilla, data=options.parts(data), compression=compression,
        seeds=options.counts("--seeds", seeds), recipe=recipe, devices=devices, logger=logger,
        on_unsupported=on_unsupported, watch=Terminal(out, view_of),
    )  # fmt: skip
    if is_first_process():
        out.emit(view_of(result))
