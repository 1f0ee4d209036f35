"""The runs of a protocol: where they are kept, what they predict, and the table of their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from msgspec import to_builtins
from msgspec.structs import replace

from sfic_bench.data.draws import as_printed
from sfic_bench.networks.variant import Variant
from sfic_bench.paper import PrintedAccuracy, accuracy_cells
from sfic_bench.results.accuracy import AccuracyResult, AccuracyRow
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import Metrics
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.logs import LoggerMaker
from sfic_bench.training.loop import ProgressListener, train
from sfic_bench.training.protocols import Experiment
from sfic_bench.training.recipe import Recipe, TrainingDevices
from sfic_bench.training.runs import VALIDATION, Run, UnusableRun
from sfic_bench.training.scores import over_seeds
from sfic_bench.training.splits import DataDigests


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentRuns:
    """One network in one experiment, with the predictions of the run of each seed."""

    variant: Variant
    train_on: str
    test_on: str
    runs: Sequence[pd.DataFrame]


def run_of(runs: Path, variant: Variant, train_on: str, seed: int) -> Run:
    """The run of a network with a seed, in the folder ``runs``."""
    return Run(runs / slug(train_on) / f"{slug(str(variant))}-seed{seed}")


def train_and_test(
    variant: Variant,
    experiment: Experiment,
    recipe: Recipe,
    devices: TrainingDevices,
    run: Run,
    listener: ProgressListener | None = None,
    loggers: Mapping[str, LoggerMaker] | None = None,
) -> list[str]:
    """Train and test one network in an experiment, unless that is done; returns the paths of unreadable images.

    ``listener`` and ``loggers`` are as in `sfic_bench.training.loop.train`.

    Raises:
        UnusableRun: if the folder holds another run.
        UnusableData: for an image that cannot be read, unless such images are skipped.
    """
    finished = train(
        variant, recipe, experiment.data, run, devices, resume=True, listener=listener, loggers=loggers
    )  # fmt: skip
    unreadable = list(finished.unreadable)
    manifest, name = experiment.test_manifest, _predictions_name(experiment)
    if manifest is None:
        return unreadable
    digests = to_builtins(DataDigests.of(manifest.frame, manifest.folder))
    if (run.folder / name).exists():
        if run.predictions(name).attrs.get("digests", digests) != digests:
            raise UnusableRun(
                f"{run.folder / name} has the scores of other images than {manifest.name} now: remove it to score them "
                "again, or choose another folder"
            )
        return unreadable
    network = TrainedNetwork(run, devices.device, backbone=variant.backbone)
    scored, skipped = network.predictions(
        manifest.frame, manifest.folder, workers=devices.workers, skip_unreadable=devices.skip_unreadable
    )
    scored.attrs["digests"] = digests
    run.save_predictions(scored, name)
    return unreadable + skipped


def predictions(run: Run, experiment: Experiment) -> pd.DataFrame:
    """The predictions of a finished run for the test images of an experiment; see `train_and_test`."""
    return run.predictions(_predictions_name(experiment))


def _predictions_name(experiment: Experiment) -> str:
    if experiment.test_manifest is None:
        return "predictions.parquet"
    name = f"predictions-{slug(experiment.test_on)}.parquet"
    return name if name.lower() != VALIDATION else "predictions-val-tested.parquet"


def slug(name: str) -> str:
    """``name`` with only those characters that every system takes in a file name."""
    kept = name.replace("α=", "a").replace("β=", "b").replace("→", "to")
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in kept).split())


def result(rows: Sequence[AccuracyRow], protocol: str, recipe: Recipe, seeds: Sequence[int]) -> AccuracyResult:
    """The result file of ``rows``."""
    return AccuracyResult(
        environment=environment(), protocol=str(protocol), recipe=asdict(recipe), seeds=list(seeds), rows=list(rows)
    )


class RowMaker:
    """Makes the row of each group as it comes; its difference is from a vanilla network that came before.

    Intervals are computed once, since they take up to minutes for a large test set.

    Args:
        against: the backbone whose vanilla network all differ from; by default it is each network's own.
    """

    def __init__(self, against: str | None = None) -> None:
        self._against = against
        self._printed = list(accuracy_cells())
        self._vanilla: dict[tuple[str, str, str], Sequence[pd.DataFrame]] = {}

    def row(self, group: ExperimentRuns) -> AccuracyRow:
        """The row as in the paper's tables, with intervals, and the paper's figures for the paper's data."""
        variant, data = group.variant, (group.train_on, group.test_on)
        if variant.is_vanilla:
            self._vanilla[variant.backbone, *data] = group.runs
        other = self._against or variant.backbone
        is_itself = variant.is_vanilla and variant.backbone == other
        row = _row(group, None if is_itself else self._vanilla.get((other, *data)), self._printed)
        return row if self._against is None or is_itself else replace(row, against=other)


def rows_of(groups: Sequence[ExperimentRuns]) -> list[AccuracyRow]:
    """The rows of all ``groups``, in whatever order vanilla networks come."""
    maker = RowMaker()
    rows = {id(group): maker.row(group) for group in sorted(groups, key=lambda group: not group.variant.is_vanilla)}
    return [rows[id(group)] for group in groups]


def _row(group: ExperimentRuns, other: Sequence[pd.DataFrame] | None, cells: Sequence[PrintedAccuracy]) -> AccuracyRow:
    v = group.variant
    frame, video = (over_seeds(group.runs, level=level) for level in ("frame", "video"))
    over: Metrics = {}
    if other is not None and len(other) == len(group.runs):
        over = over_seeds(group.runs, other)
    plain = Variant(backbone=v.backbone, alpha=v.alpha, beta=v.beta)
    place = (plain, as_printed(group.train_on), as_printed(group.test_on))
    printed = {c.metric: c.percent for c in cells if (c.variant, c.train_set, c.test_set) == place}
    return AccuracyRow(
        backbone=v.backbone, alpha=v.alpha, beta=v.beta,
        train_on=group.train_on, test_on=group.test_on, seeds=len(group.runs),
        frame_auc=frame["auc"], frame_bacc=frame["bacc"], video_auc=video["auc"], video_bacc=video["bacc"],
        auc_over_vanilla=over.get("auc"), bacc_over_vanilla=over.get("bacc"),
        auc_printed=printed.get("AUC"), bacc_printed=printed.get("BACC"),
    )  # fmt: skip
