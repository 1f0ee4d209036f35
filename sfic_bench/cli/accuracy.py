"""``sfic-bench accuracy``: a protocol over a grid of networks and several seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.choices import Initialisation, Interpolation, McsMode
from sfic_bench.cli import options, training_options
from sfic_bench.cli.grid_runs import run_all
from sfic_bench.cli.output import Format, Output, View
from sfic_bench.measure.conditions import Device
from sfic_bench.networks.variant import OnUnsupported
from sfic_bench.report.accuracy_tables import protocol_table
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.train.recipe import EvaluationProtocol, Precision, Recipe, TrainingDevices


def accuracy_command(
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; finished runs are not repeated.")],
    protocol: Annotated[
        EvaluationProtocol, typer.Option(help="Which data are trained on, and which are tested.")
    ] = EvaluationProtocol.INTRA,
    backbone: options.Backbones = "resnet26",
    alpha: Annotated[str | None, options.alphas_option(".5; none for detectors")] = None,
    beta: Annotated[str | None, options.betas_option("1")] = None,
    data: Annotated[str, typer.Option(metavar="MANIFEST[,…]|orl", help="Manifests, or the embedded default.")] = "orl",
    compression: training_options.Compression = "",
    seeds: Annotated[str, typer.Option(metavar="N[,N…]", help="Seeds; each network has a run for each.")] = "7",
    epochs: training_options.Epochs = 20,
    batch_size: training_options.BatchSize = 64,
    learning_rate: training_options.LearningRate = 1e-4,
    decay: training_options.Decay = 0.5,
    input_size: options.InputSize = 256,
    precision: training_options.PrecisionOption = Precision.FP32,
    flip: training_options.Flip = 0.5,
    rotation: training_options.Rotation = 10.0,
    perspective: training_options.Perspective = 0.0,
    interpolation: training_options.InterpolationOption = Interpolation.NEAREST,
    mcs: training_options.McsOption = McsMode.LEARNED,
    initialisation: training_options.InitialisationOption = Initialisation.RELEASED,
    device: options.DeviceOption = Device.CPU,
    devices: training_options.DeviceCount = 1,
    workers: training_options.Workers = 0,
    skip_unreadable: training_options.SkipUnreadable = False,
    on_unsupported: options.Unsupported = OnUnsupported.ERROR,
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

        used = TrainingDevices(device=device, devices=devices, workers=workers, skip_unreadable=skip_unreadable)
        recipe = Recipe(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, decay=decay,
            input_size=input_size, precision=precision, flip=flip, rotation=rotation, perspective=perspective,
            interpolation=interpolation, mcs=mcs, initialisation=initialisation,
        )  # fmt: skip
        manifests = [training_options.manifest_of(name, compression) for name in options.parts(data)]
        pairs = [(variant, experiment) for experiment in experiments(protocol, manifests) for variant in grid]

        def view(rows: Sequence[AccuracyRow]) -> View:
            return _view(rows, protocol, recipe, seed_list)

        finished = run_all(pairs, recipe, seed_list, used, runs, lambda rows: out.keep(view(rows)))
    if training_options.is_first_process():
        out.emit(view(finished))


def _view(rows: Sequence[AccuracyRow], protocol: str, recipe: Recipe, seeds: Sequence[int]) -> View:
    from sfic_bench.train.accuracy import result

    accuracies = result(rows, protocol, recipe, seeds)
    return View(result=accuracies, tables=[protocol_table(accuracies)], rows=accuracies.rows)
