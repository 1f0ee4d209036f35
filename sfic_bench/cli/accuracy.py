"""``sfic-bench accuracy``: a protocol over a grid of networks and several seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options, training_options
from sfic_bench.cli.grid_runs import run_all
from sfic_bench.cli.output import Format, Output, View
from sfic_bench.cli.recipe_options import with_recipe
from sfic_bench.networks.variant import Variant
from sfic_bench.report.accuracy_tables import matrix_tables, protocol_table
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.train.recipe import EvaluationProtocol, Recipe, TrainingDevices


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
    grid = options.grid(backbone, alpha, beta, on_unsupported, default_alphas=(0.5,), default_betas=(1.0,))
    seed_list = options.counts("--seeds", seeds)
    out = Output(format=format, path=output)
    with training_options.training_packages():
        from sfic_bench.train.protocols import experiments

        loggers = training_options.loggers_of(logger)
        manifests = [training_options.manifest_of(name, compression) for name in options.parts(data)]
        networks = dict.fromkeys(grid if against is None else (Variant(backbone=against), *grid))
        pairs = [(variant, experiment) for experiment in experiments(protocol, manifests) for variant in networks]

        def view(rows: Sequence[AccuracyRow]) -> View:
            return _view(rows, protocol, recipe, seed_list)

        finished = run_all(
            pairs, recipe, seed_list, devices, runs, lambda rows: out.keep(view(rows)), against, loggers
        )  # fmt: skip
    if training_options.is_first_process():
        out.emit(view(finished))


def _view(rows: Sequence[AccuracyRow], protocol: str, recipe: Recipe, seeds: Sequence[int]) -> View:
    from sfic_bench.train.accuracy import result

    accuracies = result(rows, protocol, recipe, seeds)
    return View(result=accuracies, tables=[protocol_table(accuracies), *matrix_tables(rows)], rows=accuracies.rows)
