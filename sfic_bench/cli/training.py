"""``sfic-bench train``, ``evaluate`` and ``attention``, each for one network at a time."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import Format, Output, say
from sfic_bench.cli.recipe_options import with_recipe
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.data.choices import SplitName
from sfic_bench.measure.conditions import Device
from sfic_bench.processes import is_first_process
from sfic_bench.reporting.score_tables import score_tables, thresholds_remark
from sfic_bench.training.recipe import Recipe, TrainingDevices


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
    out = Output(format=format, path=None)
    try:
        result = sfic_bench.train(
            output, backbone=backbone, alpha=alpha, beta=beta, data=data, compression=compression, recipe=recipe,
            devices=devices, resume=resume, logger=logger, on_unsupported=on_unsupported, watch=Terminal(out, view_of),
        )  # fmt: skip
    except KeyboardInterrupt:
        say("sfic-bench: interrupted; the same command with --resume goes on after the last finished epoch")
        raise typer.Exit(130) from None
    if not is_first_process():
        return
    from sfic_bench.training.runs import Run

    run = Run(output)
    last, start = run.epochs()[-1], run.config().start
    remarks = [
        f"images a second: {last.images_per_s:.0f} training, {last.loader_images_per_s or 0:.0f} by the loader alone"
    ]
    if result.thresholds is not None:
        remarks.append(thresholds_remark(result.thresholds))
    if start is not None:
        fresh = f"; {', '.join(start.fresh)} began at random" if start.fresh else ""
        remarks.append(f"first weights: {start.source}{fresh}")
    kept = "" if result.kept_epoch is None else f"; kept: epoch {result.kept_epoch}, with the best AUC on validation"
    title = f"{result.network} after {result.epochs} epochs{kept}"
    out.emit(view_of(result, tables=score_tables(title, result, *remarks)))


def evaluate_command(
    run: training_options.RunArgument,
    data: training_options.DataOption = "orl",
    compression: training_options.Compression = "",
    split: Annotated[SplitName, typer.Option(help="Which images are scored.")] = SplitName.TEST,
    device: options.DeviceOption = Device.CPU.value,
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
    result = sfic_bench.evaluate(
        run, data=data, compression=compression, split=split, device=device, workers=workers,
        skip_unreadable=skip_unreadable, backbone=backbone, trust_code=trust_code,
    )  # fmt: skip
    out.emit(view_of(result))


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
    device: options.DeviceOption = Device.CPU.value,
    trust_code: training_options.TrustCode = False,
) -> None:
    """Draw average forgery attention maps (Section IV-G, Fig. 5), which show where networks look in 4, 8 and 16 fakes.

    The fakes are random, each of another video of the test split, with all methods in turns. Two runs of one backbone,
    vanilla and SFIC, give the paper's figure.
    """
    sfic_bench.attention(
        runs, output, data=data, compression=compression, images=images, counts=options.counts("--counts", counts),
        seed=seed, device=device, trust_code=trust_code,
    )  # fmt: skip
