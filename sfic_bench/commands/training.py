"""One network at a time: trained, scored, and looked into."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.choices import OnUnsupported
from sfic_bench.commands.given import (
    FilePath,
    Names,
    loggers_of,
    manifest_of,
    paths_in,
    rows_of,
    tell_unreadable,
    training_packages,
)
from sfic_bench.commands.watcher import UNWATCHED, Watcher
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue, member
from sfic_bench.files import check_writable, write_bytes_atomically
from sfic_bench.measure.conditions import Device
from sfic_bench.networks import registry
from sfic_bench.networks.ratios import beta_beside
from sfic_bench.networks.variant import Variant
from sfic_bench.processes import is_first_process
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import ScoresResult
from sfic_bench.training.presets import Preset, recipe_of
from sfic_bench.training.recipe import ONE_CPU, Recipe, TrainingDevices

if TYPE_CHECKING:
    from sfic_bench.commands.given import Loggers
    from sfic_bench.data.manifest import Manifest

LOG = logging.getLogger(__name__)


def train(
    output: FilePath,
    *,
    backbone: str = "resnet26",
    alpha: float | None = None,
    beta: float | None = None,
    data: "FilePath | Manifest" = "orl",
    compression: Names = (),
    recipe: Recipe | str = Preset.PAPER,
    devices: TrainingDevices = ONE_CPU,
    resume: bool = False,
    logger: "Loggers" = None,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    watch: Watcher = UNWATCHED,
) -> ScoresResult:
    """Train one network and score it on the test split, by the paper's recipe unless another is given.

    The same seed gives the same weights on a CPU. A training that was stopped goes on with ``resume`` after its last
    finished epoch, and ends as if it had never been stopped.

    Examples:
        >>> train("runs/a", alpha=0.5, beta=0.5, recipe=Recipe(epochs=2, input_size=64))  # doctest: +SKIP

    Args:
        output: the run's folder.
        backbone, on_unsupported: as for `sfic_bench.build`.
        alpha: share of the frequency channels, in [0, 1]; ``None`` for the vanilla network.
        beta: scale of the frequency branch, in (0, 1]; 1 if only ``alpha`` is given.
        data: a manifest or its path; ``"orl"`` for the embedded images.
        compression: only images of these compressions.
        recipe: how it is trained: settings, the name of a preset, or the path of a TOML file.
        devices: what it is trained on.
        resume: go on with a run that was stopped.
        logger: where each epoch's scores are logged, too: names of loggers, or what makes them, by name; TensorBoard's
            files if not given, ``"none"`` for nothing.
        watch: hears of the training's progress.

    Raises:
        UnusableRun: if the folder has another run.
        UnusableData: for data that cannot be trained or tested on.
        InvalidValue, UnknownName: for a setting that cannot be used.
    """
    registry.check_name(backbone)
    choice = member(OnUnsupported, on_unsupported, "value of on_unsupported")
    variant = Variant(backbone=backbone, alpha=alpha, beta=beta_beside(alpha, beta), on_unsupported=choice)
    settings = recipe_of(recipe, {}) if isinstance(recipe, str) else recipe
    with training_packages():
        from sfic_bench.training.loop import train as train_run
        from sfic_bench.training.runs import Run
        from sfic_bench.training.splits import DataSplits

        loggers, manifest = loggers_of(logger), manifest_of(data, compression)
        splits, run = DataSplits.of(manifest), Run(Path(output))
        with watch.training(f"{variant}, seed {settings.seed}") as listener:
            result = train_run(
                variant, settings, splits, run, devices, resume=resume, listener=listener, loggers=loggers
            )
    if is_first_process():
        tell_unreadable(result.unreadable)
    return ScoresResult(
        environment=environment(), network=str(variant), run=str(output), data=manifest.name,
        split=SplitName.TEST.value, epochs=result.epochs, kept_epoch=result.kept_epoch, images=result.images,
        unreadable=result.unreadable, scores=result.scores, thresholds=result.thresholds,
    )  # fmt: skip


def evaluate(
    run: FilePath,
    *,
    data: "FilePath | Manifest" = "orl",
    compression: Names = (),
    split: SplitName | str = SplitName.TEST,
    device: Device | str = Device.CPU,
    workers: int = 0,
    skip_unreadable: bool = False,
    backbone: str | None = None,
    trust_code: bool = False,
) -> ScoresResult:
    """Score a trained network on any manifest, per image and per video, with intervals.

    Also at the thresholds that the run's validation images gave, and for each method, compression and data set.

    Args:
        run: the folder of a finished run.
        data: a manifest or its path; ``"orl"`` for the embedded images.
        compression: only images of these compressions.
        split: which images are scored.
        device: the device to run on.
        workers: number of processes that decode images.
        skip_unreadable: go on without images that cannot be read; they are in the result.
        backbone: ``FILE.py:FUNCTION`` that defines the run's network, if it is from a file.
        trust_code: run the Python file that a run names, although only the run names it.

    Raises:
        UnusableRun: if the folder has no finished run.
        UnusableData: for an image that cannot be read, unless such images are skipped.
        InvalidValue, UnknownName: for an option that cannot be used, or a split without images.
    """
    chosen = member(SplitName, split, "split")
    with training_packages():
        from sfic_bench.measure.devices import device_named
        from sfic_bench.training.groups import score_groups
        from sfic_bench.training.inference import TrainedNetwork
        from sfic_bench.training.runs import Run
        from sfic_bench.training.scores import reliability, summary
        from sfic_bench.training.thresholds import at_thresholds

        manifest = manifest_of(data, compression)
        rows = rows_of(manifest, chosen)
        trained = TrainedNetwork(Run(Path(run)), device_named(device), backbone=backbone, trust_code=trust_code)
        predictions, unreadable = trained.predictions(
            rows, manifest.folder, workers=workers, skip_unreadable=skip_unreadable
        )
        tell_unreadable(unreadable)
        thresholds = trained.run.result().thresholds
        return ScoresResult(
            environment=environment(), network=str(trained.variant), run=str(run), data=manifest.name,
            split=chosen.value, images=len(predictions), unreadable=unreadable, scores=summary(predictions),
            thresholds=thresholds, at_thresholds=at_thresholds(predictions, thresholds),
            groups=score_groups(predictions), reliability=reliability(predictions),
        )  # fmt: skip


def attention(
    runs: FilePath | Sequence[FilePath],
    output: FilePath,
    *,
    data: "FilePath | Manifest" = "orl",
    compression: Names = (),
    images: FilePath | None = None,
    counts: Sequence[int] = (4, 8, 16),
    seed: int = 7,
    device: Device | str = Device.CPU,
    trust_code: bool = False,
) -> Path:
    """Draw average forgery attention maps (Section IV-G, Fig. 5), which show where networks look in fakes.

    The fakes are random, each of another video of the test split, with all methods in turns. Two runs of one backbone,
    vanilla and SFIC, give the paper's figure.

    Args:
        runs: folders of finished runs, to be shown side by side.
        output: the picture, a PNG file.
        data, compression, device, trust_code: as for `evaluate`.
        images: a folder of fakes, instead of the data's.
        counts: numbers of fakes to average over, one column each.
        seed: seed of the choice of fakes.

    Returns:
        The path of the picture.

    Raises:
        UnwritableOutput: if the picture cannot be written.
        UnusableRun, UnusableData, InvalidValue: as `evaluate` does.
    """
    output = Path(output)
    check_writable(output)
    if not counts or min(counts) < 1:
        raise InvalidValue(f"counts must be whole numbers of at least 1, got {list(counts)}")
    with training_packages():
        from sfic_bench.measure.devices import device_named
        from sfic_bench.training.attention import fakes, picture
        from sfic_bench.training.inference import TrainedNetwork
        from sfic_bench.training.runs import Run

        chosen = device_named(device)
        networks = [TrainedNetwork(Run(run), chosen, trust_code=trust_code) for run in paths_in(runs)]
        source = manifest_of(data, compression) if images is None else Path(images)
        maps = []
        for network in networks:
            inputs = fakes(source, network.recipe.input_size, max(counts), seed)
            maps.append([network.attention(inputs[:count]) for count in counts])
        write_bytes_atomically(output, picture(maps, [str(network.variant) for network in networks], counts))
    LOG.info("wrote %s", output)
    return output
