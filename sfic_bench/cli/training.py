"""``sfic-bench train``, ``evaluate``, ``predict`` and ``attention``: one network at a time."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result, say
from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.report import Column, Table, check_writable, environment, write_bytes_atomically
from sfic_bench.spec import Variant

if TYPE_CHECKING:
    from sfic_bench.data.manifest import Manifest
    from sfic_bench.train.loop import Progress as Told
    from sfic_bench.train.recipe import Recipe

SCHEMA = "sfic-bench/scores/1"

Alpha = Annotated[
    float | None, typer.Option(metavar="A", help="Share of the frequency channels; none for vanilla.")
]
Beta = Annotated[
    float | None, typer.Option(metavar="B", help="Scale of the frequency branch; 1 if only α is given.")
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="MANIFEST|orl",
        help="A manifest (`sfic-bench data import`), or the embedded default.",
    ),
]
Compression = Annotated[
    str, typer.Option(metavar="NAME[,…]", help="Only images of these compressions; all if not given.")
]
Epochs = Annotated[int, typer.Option(metavar="N", help="Passes over the images.")]
BatchSize = Annotated[int, typer.Option(metavar="N", help="Images a step, over all devices.")]
LearningRate = Annotated[float, typer.Option(metavar="X", help="Of the first epoch.")]
Decay = Annotated[float, typer.Option(metavar="X", help="What each epoch multiplies the learning rate by.")]
Precision = Annotated[str, typer.Option(metavar="fp32|bf16|fp16", help="Number format of the products.")]
Devices = Annotated[
    int, typer.Option(metavar="N", help="Devices on this machine; torchrun sets it by itself.")
]
Workers = Annotated[int, typer.Option(metavar="N", help="Processes that decode, for each device.")]
Skip = Annotated[
    bool, typer.Option("--skip-unreadable", help="Go on without images that cannot be read, and count them.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]


def train_command(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The run's folder.")],
    backbone: Annotated[str, typer.Option(metavar="NAME", help="As in `sfic-bench list`.")] = "resnet26",
    alpha: Alpha = None,
    beta: Beta = None,
    data: DataOption = "orl",
    compression: Compression = "",
    epochs: Epochs = 20,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 1e-4,
    decay: Decay = 0.5,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights, order and augmentation.")] = 7,
    input_size: options.InputSize = 256,
    precision: Precision = "fp32",
    device: options.DeviceOption = "cpu",
    devices: Devices = 1,
    workers: Workers = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    skip_unreadable: Skip = False,
    on_unsupported: options.Unsupported = "error",
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Train one network by the paper's protocol, and score it on the test split.

    The same seed gives the same weights on a CPU. A run that was stopped, however, goes on with --resume
    after its last whole epoch and ends as if it had not been.
    """
    variant = variant_of(backbone, alpha, beta, on_unsupported)
    with training_room():
        from sfic_bench.train.loop import Machine, train
        from sfic_bench.train.recipe import Recipe
        from sfic_bench.train.runs import Run
        from sfic_bench.train.splits import Data

        recipe = Recipe(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, decay=decay, seed=seed,
            input_size=input_size, precision=precision,
        )  # fmt: skip
        machine = Machine(
            accelerator=device, devices=devices, workers=workers, skip_unreadable=skip_unreadable
        )
        run = Run(output)
        with bar(f"{variant}", recipe) as tell:
            result = train(
                variant,
                recipe,
                Data.of(manifest_of(data, compression)),
                run,
                machine,
                resume=resume,
                tell=tell,
            )
    if not is_first_process():
        return
    last = run.epochs()[-1]
    rates = f"images a second: {last['images_per_s']:.0f} training, {last['loader_images_per_s']:.0f} by the loader alone"
    found = scored(f"{variant} after {recipe.epochs} epochs", result["scores"], result, rates)
    Output(format=format, path=None).emit(found)
    tell_left_out(result["unreadable"])


def evaluate_command(
    run: RunArgument,
    data: DataOption = "orl",
    compression: Compression = "",
    split: Annotated[str, typer.Option(metavar="train|val|test", help="Which images.")] = "test",
    device: options.DeviceOption = "cpu",
    workers: Workers = 0,
    skip_unreadable: Skip = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Score a trained network on any manifest, per image and per video, with intervals."""
    out = Output(format=format, path=output)
    with training_room():
        from sfic_bench.train.predict import as_json, summary_of
        from sfic_bench.train.runs import Run
        from sfic_bench.train.use import Trained

        manifest = manifest_of(data, compression)
        rows = manifest.where(split=split)
        if not len(rows):
            raise InvalidValue(f"{manifest.name} has no rows of the split {split!r}")
        trained = Trained(Run(run), device)
        predictions, unread = trained.predictions(
            rows, manifest.folder, workers=workers, skip_unreadable=skip_unreadable
        )
        scores = {level: as_json(found) for level, found in summary_of(predictions).items()}
    document = {
        "run": str(run),
        "data": manifest.name,
        "split": split,
        "images": len(predictions),
        "unreadable": unread,
    }
    out.emit(scored(f"{trained.variant} on {manifest.name}, {split}", scores, document))
    tell_left_out(unread)


def predict_command(
    run: RunArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="Image files.")],
    device: options.DeviceOption = "cpu",
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Single images in, the probability that each is fake out. Exit status 1 if one cannot be read."""
    out = Output(format=format, path=output)
    with training_room():
        from sfic_bench.train.runs import Run
        from sfic_bench.train.use import Trained

        found = list(Trained(Run(run), device).scores(images))
    records = [{"path": str(path), "fake": score, "reason": reason} for path, score, reason in found]
    cells = [[str(path), "" if score is None else f"{score:.4f}", reason] for path, score, reason in found]
    columns = [Column(name="image"), Column(name="fake", number=True), Column(name="remark")]
    table = Table(title="Probability of fake", columns=columns, rows=cells, notes=[f"by {run}"])
    out.emit(
        Result(document={"schema": SCHEMA, "run": str(run), "rows": records}, tables=[table], records=records)
    )
    if any(score is None for _, score, _ in found):
        raise typer.Exit(1)


def attention_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Finished runs, side by side.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="The picture.")],
    data: DataOption = "orl",
    compression: Compression = "",
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Fakes of your own instead of the data's.")
    ] = None,
    counts: Annotated[str, typer.Option(metavar="N[,N…]", help="Over how many fakes to average.")] = "4,8,16",
    device: options.DeviceOption = "cpu",
) -> None:
    """Draw average forgery attention maps (Fig. 5): where the networks look, over 4, 8 and 16 fakes."""
    check_writable(output)
    over = options.counts("--counts", counts)
    with training_room():
        from sfic_bench.train.maps import fakes, picture
        from sfic_bench.train.runs import Run
        from sfic_bench.train.use import Trained

        trained = [Trained(Run(run), device) for run in runs]
        found = [
            fakes(images or manifest_of(data, compression), t.recipe.input_size, max(over)) for t in trained
        ]
        maps = [[t.attention(some[:n]) for n in over] for t, some in zip(trained, found, strict=True)]
        write_bytes_atomically(output, picture(maps, [str(t.variant) for t in trained], over))
    say(f"wrote {output}")


def is_first_process() -> bool:
    """Of those that train together one speaks; torchrun and Fabric number them in the environment."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def tell_left_out(paths: Sequence[str]) -> None:
    """Say on stderr which images were left out, if any."""
    if paths:
        say(f"sfic-bench: left out {len(paths)} images that cannot be read, such as {paths[0]}")


def variant_of(backbone: str, alpha: float | None, beta: float | None, on_unsupported: str) -> Variant:
    """The network that ``--backbone``, ``--alpha`` and ``--beta`` name; β is 1 if only α is given."""
    from sfic_bench import backbones

    backbones.check_name(backbone)
    if alpha is not None and beta is None:
        beta = 1.0
    return Variant(
        backbone=backbone, alpha=alpha, beta=beta, on_unsupported=options.unsupported(on_unsupported)
    )


def manifest_of(data: str, compression: str) -> "Manifest":
    """What ``--data`` and ``--compression`` name."""
    from sfic_bench.data.manifest import read_manifest
    from sfic_bench.data.orl import orl

    manifest = orl() if data == "orl" else read_manifest(Path(data))
    return manifest.of_compression(*options.parts(compression)) if compression else manifest


@contextmanager
def training_room() -> Iterator[None]:
    """Raises `MissingDependency` where the extra ``train`` is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("sfic_bench"):
            raise
        raise MissingDependency(f"training needs {error.name}: pip install 'sfic-bench[train]'") from None


@contextmanager
def bar(what: str, recipe: "Recipe") -> Iterator["Callable[[Told], object]"]:
    """Loss, AUC of the last validation, images a second and time left, on stderr if that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("epoch {task.fields[epoch]}"),
        TextColumn("loss {task.fields[loss]:.3f}"), TextColumn("AUC {task.fields[auc]}"),
        TextColumn("{task.fields[rate]:.0f} images/s"), TimeRemainingColumn(),
    )  # fmt: skip
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with progress:
        task = progress.add_task(what, total=None, epoch=0, loss=0.0, auc="–", rate=0.0)

        def tell(told: "Told") -> None:
            progress.update(
                task,
                total=told.steps * recipe.epochs,
                completed=told.steps * (told.epoch - 1) + told.step,
                epoch=f"{told.epoch}/{recipe.epochs}",
                loss=told.loss,
                auc="–" if told.auc is None else f"{told.auc:.3f}",
                rate=told.images_per_s,
            )

        yield tell


def scored(
    title: str, scores: Mapping[str, Mapping[str, Any]], more: Mapping[str, Any], *remarks: str
) -> Result:
    """Scores in every form that they can be asked for."""
    columns = [Column(name="metric")]
    for level in scores:
        columns += [Column(name=f"per {level}", number=True), Column(name="95%", number=True)]
    names = list(next(iter(scores.values())))
    rows = []
    records = []
    for name in names:
        row, record = [name], {"metric": name}
        for level, found in scores.items():
            value, ci95 = found[name]["value"], found[name]["ci95"]
            row += [
                "one class" if value is None else f"{value:.4f}",
                "" if ci95 is None else f"{ci95[0]:.4f}–{ci95[1]:.4f}",
            ]
            record |= {f"{level}": value, f"{level}_low": ci95 and ci95[0], f"{level}_high": ci95 and ci95[1]}
        rows.append(row)
        records.append(record)
    notes = [
        "auc, bacc: intervals resample videos; bacc: mean accuracy of both classes at 0.5; a video's score is its images' mean"
    ]
    table = Table(title=title, columns=columns, rows=rows, notes=[*notes, *remarks])
    document = {"schema": SCHEMA, "environment": environment(), **more, "scores": scores}
    return Result(document=document, tables=[table], records=records)
