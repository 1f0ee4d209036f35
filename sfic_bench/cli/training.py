"""``sfic-bench train``, ``evaluate`` and ``attention``, each for one network at a time."""

from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import Format, Output, View, say
from sfic_bench.cli.recipe_options import with_recipe
from sfic_bench.cli.training_progress import training_progress
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue
from sfic_bench.files import check_writable, write_bytes_atomically
from sfic_bench.measure.conditions import Device
from sfic_bench.networks import registry
from sfic_bench.networks.variant import Variant
from sfic_bench.report.score_tables import score_tables, thresholds_remark
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import ScoresResult
from sfic_bench.train.recipe import Recipe, TrainingDevices


@with_recipe()
def train_command(
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The run's folder.")],
    backbone: options.Backbone = "resnet26",
    alpha: options.Alpha = None,
    beta: options.Beta = None,
    data: training_options.DataOption = "orl",
    compression: training_options.Compression = "",
    recipe: Recipe,
    devices: TrainingDevices,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    logger: training_options.LoggerOption = None,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Train one network and score it on the test split, by the paper's recipe unless --recipe names another.

    The same seed gives the same weights on a CPU. A run that was stopped goes on with --resume after its last
    finished epoch, and ends as if it had never been stopped.
    """
    registry.check_name(backbone)
    if alpha is not None and beta is None:
        beta = 1.0
    variant = Variant(backbone=backbone, alpha=alpha, beta=beta, on_unsupported=on_unsupported)
    with training_options.training_packages():
        from sfic_bench.train.loop import train
        from sfic_bench.train.runs import Run
        from sfic_bench.train.splits import DataSplits

        loggers = training_options.loggers_of(logger)
        splits, run = DataSplits.of(training_options.manifest_of(data, compression)), Run(output)
        try:
            with training_progress(f"{variant}, seed {recipe.seed}") as listener:
                result = train(
                    variant, recipe, splits, run, devices, resume=resume, listener=listener, loggers=loggers
                )  # fmt: skip
        except KeyboardInterrupt:
            say("sfic-bench: interrupted; the same command with --resume goes on after the last finished epoch")
            raise typer.Exit(130) from None
    if not training_options.is_first_process():
        return
    last = run.epochs()[-1]
    rates = (
        f"images a second: {last.images_per_s:.0f} training, {last.loader_images_per_s or 0:.0f} by the loader alone"
    )
    scores = ScoresResult(
        environment=environment(), run=str(output), data=data, split=SplitName.TEST.value, epochs=result.epochs,
        kept_epoch=result.kept_epoch, images=result.images, unreadable=result.unreadable, scores=result.scores,
        thresholds=result.thresholds,
    )  # fmt: skip
    kept = "" if result.kept_epoch is None else f"; kept: epoch {result.kept_epoch}, with the best AUC on validation"
    remarks = [rates] if result.thresholds is None else [rates, thresholds_remark(result.thresholds)]
    start = run.config().start
    if start is not None:
        fresh = f"; {', '.join(start.fresh)} began at random" if start.fresh else ""
        remarks.append(f"first weights: {start.source}{fresh}")
    view = _view(f"{variant} after {result.epochs} epochs{kept}", scores, *remarks)
    Output(format=format, path=None).emit(view)
    training_options.report_unreadable(result.unreadable)


def evaluate_command(
    run: training_options.RunArgument,
    data: training_options.DataOption = "orl",
    compression: training_options.Compression = "",
    split: Annotated[SplitName, typer.Option(help="Which images are scored.")] = SplitName.TEST,
    device: options.DeviceOption = Device.CPU,
    workers: training_options.Workers = 0,
    skip_unreadable: training_options.SkipUnreadable = False,
    backbone: training_options.RunCode = None,
    trust_code: training_options.TrustCode = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Score a trained network on any manifest, per image and per video, with intervals.

    Also at the thresholds that the run's validation images gave, and for each method, compression and data set.
    """
    out = Output(format=format, path=output)
    with training_options.training_packages():
        from sfic_bench.train.groups import score_groups
        from sfic_bench.train.inference import TrainedNetwork
        from sfic_bench.train.runs import Run
        from sfic_bench.train.scores import reliability, summary
        from sfic_bench.train.thresholds import at_thresholds

        manifest = training_options.manifest_of(data, compression)
        rows = manifest.where(split=split)
        if not len(rows):
            raise InvalidValue(f"{manifest.name} has no rows of the split {split.value!r}")
        trained = TrainedNetwork(Run(run), device, backbone=backbone, trust_code=trust_code)
        predictions, unreadable = trained.predictions(
            rows, manifest.folder, workers=workers, skip_unreadable=skip_unreadable
        )
        thresholds = trained.run.result().thresholds
        result = ScoresResult(
            environment=environment(), run=str(run), data=manifest.name, split=split.value,
            images=len(predictions), unreadable=unreadable, scores=summary(predictions),
            thresholds=thresholds, at_thresholds=at_thresholds(predictions, thresholds),
            groups=score_groups(predictions), reliability=reliability(predictions),
        )  # fmt: skip
    out.emit(_view(f"{trained.variant} on {manifest.name}, {split}", result))
    training_options.report_unreadable(unreadable)


def attention_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Finished runs, to be shown side by side.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="The picture.")],
    data: training_options.DataOption = "orl",
    compression: training_options.Compression = "",
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of fakes, instead of the data's.")
    ] = None,
    counts: Annotated[str, typer.Option(metavar="N[,N…]", help="Numbers of fakes to average over.")] = "4,8,16",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of fakes.")] = 7,
    device: options.DeviceOption = Device.CPU,
    trust_code: training_options.TrustCode = False,
) -> None:
    """Draw average forgery attention maps (Section IV-G, Fig. 5), which show where networks look in 4, 8 and 16 fakes.

    The fakes are random, each of another video of the test split, with all methods in turns. Two runs of one backbone,
    vanilla and SFIC, give the paper's figure.
    """
    check_writable(output)
    numbers = options.counts("--counts", counts)
    with training_options.training_packages():
        from sfic_bench.train.attention import fakes, picture
        from sfic_bench.train.inference import TrainedNetwork
        from sfic_bench.train.runs import Run

        networks = [TrainedNetwork(Run(run), device, trust_code=trust_code) for run in runs]
        source = images or training_options.manifest_of(data, compression)
        maps = []
        for network in networks:
            inputs = fakes(source, network.recipe.input_size, max(numbers), seed)
            maps.append([network.attention(inputs[:count]) for count in numbers])
        write_bytes_atomically(output, picture(maps, [str(network.variant) for network in networks], numbers))
    say(f"wrote {output}")


def _view(title: str, result: ScoresResult, *remarks: str) -> View:
    return View(result=result, tables=score_tables(title, result, *remarks), rows=result.lines)
