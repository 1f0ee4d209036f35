"""The trainings that a table of the paper needs, what is done of them, and how long the others will take."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sfic_bench import api
from sfic_bench.data.draws import data_name
from sfic_bench.data.loader import Batch
from sfic_bench.data.manifest import Manifest
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.variant import Variant
from sfic_bench.paper.wide import PaperTable, Place
from sfic_bench.training.accuracy import run_of
from sfic_bench.training.learner import Learner, new_fabric
from sfic_bench.training.protocols import Experiment, experiments
from sfic_bench.training.recipe import EvaluationProtocol, Recipe, TrainingDevices

PROTOCOLS: Mapping[str, EvaluationProtocol] = {
    **dict.fromkeys(("II", "III", "V"), EvaluationProtocol.INTRA),
    "IV": EvaluationProtocol.LEAVE_ONE_OUT,
    **dict.fromkeys(("VI", "VII", "VIII", "IX"), EvaluationProtocol.CROSS),
}
"""The protocol of each table."""

MEASURED, MEASURING_S = 3, 45.0
"""The number of networks whose training step is timed for an estimate, and the time that all of them may take."""


def experiments_of(table: PaperTable, manifests: Sequence[Manifest]) -> tuple[list[Experiment], list[Place]]:
    """The experiments that give the columns of ``table``, and the columns that have no data.

    An experiment on the paper's draw stands for others of its column.

    Raises:
        InvalidValue: if no column has data; the message names the columns.
    """
    chosen: dict[Place, tuple[Experiment, bool]] = {}
    for experiment in experiments(PROTOCOLS[table.number], manifests):
        train, test = data_name(experiment.train_on), data_name(experiment.test_on)
        place, is_papers = (train.name, test.name), train.is_papers and test.is_papers
        if place in table.places and (place not in chosen or (is_papers and not chosen[place][1])):
            chosen[place] = experiment, is_papers
    if not chosen:
        raise InvalidValue(
            f"no manifest has data of Table {table.number}, whose columns are {columns(table.places)}: import them "
            "with `sfic-bench data import … --draw paper`"
        )
    without = [place for place in table.places if place not in chosen]
    return [chosen[place][0] for place in table.places if place in chosen], without


def columns(places: Sequence[Place]) -> str:
    """The columns of a table in words."""
    return ", ".join(train if train == test else f"{train} → {test}" for train, test in places)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """One training that a table needs.

    Attributes:
        images: training images of an epoch.
        finished_epochs: epochs that are done.
    """

    variant: Variant
    train_on: str
    seed: int
    images: int
    epochs: int
    finished_epochs: int
    is_finished: bool

    @property
    def images_left(self) -> int:
        """Images that are still to be trained on, over all epochs."""
        return 0 if self.is_finished else self.images * (self.epochs - self.finished_epochs)


def planned(
    pairs: Sequence[tuple[Variant, Experiment]], recipe: Recipe, seeds: Sequence[int], runs: Path
) -> Iterator[PlannedRun]:
    """Each training that ``pairs`` need, once."""
    seen = set()
    for variant, experiment in pairs:
        for seed in seeds:
            if (variant, experiment.train_on, seed) in seen:
                continue
            seen.add((variant, experiment.train_on, seed))
            run = run_of(runs, variant, experiment.train_on, seed)
            yield PlannedRun(
                variant=variant, train_on=experiment.train_on, seed=seed, images=len(experiment.data.train),
                epochs=recipe.epochs, finished_epochs=len(run.epochs()), is_finished=run.is_finished,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """How fast networks train on this machine.

    Attributes:
        seconds_per_mac: median over the measured networks of a training step's seconds over its forward pass's MACs.
        measured: images a second of the networks that were measured.
        macs: MACs of one image, of every network.
    """

    seconds_per_mac: float
    measured: Mapping[Variant, float]
    macs: Mapping[Variant, int]

    def seconds(self, run: PlannedRun) -> float:
        """How long ``run`` will take: its own measured speed, or one by its MACs."""
        rate = self.measured.get(run.variant)
        per_image = self.seconds_per_mac * self.macs[run.variant] if rate is None else 1 / rate
        return run.images_left * per_image


def measured_speed(variants: Sequence[Variant], recipe: Recipe, devices: TrainingDevices) -> Speed:
    """Time training steps of the networks with the least, the median and the most MACs, within `MEASURING_S`.

    Raises:
        InvalidValue: if no network can be counted and timed.
    """
    macs: dict[Variant, int] = {}
    for variant in dict.fromkeys(variants):
        family = dict.fromkeys((replace(variant, alpha=None, beta=None), variant))
        costed = [*api.costs(family, input_size=recipe.input_size)]
        macs[variant] = costed[-1].cost.macs
    ordered = sorted(macs, key=lambda variant: macs[variant])
    chosen = dict.fromkeys(ordered[round(i * (len(ordered) - 1) / (MEASURED - 1))] for i in range(MEASURED))
    end = time.monotonic() + MEASURING_S
    measured: dict[Variant, float] = {}
    for variant in chosen:
        if measured and time.monotonic() > end:
            break
        measured[variant] = _images_per_s(variant, recipe, devices)
    ratios = [1 / (rate * macs[variant]) for variant, rate in measured.items()]
    return Speed(seconds_per_mac=statistics.median(ratios), measured=measured, macs=macs)


def _images_per_s(variant: Variant, recipe: Recipe, devices: TrainingDevices) -> float:
    """Images a second of training steps on random images: of at least two steps, and of as many as two seconds take."""
    learner = Learner(new_fabric(recipe, devices), variant, recipe, has_masks=False)
    count, size = min(4, max(2, recipe.batch_size)), recipe.input_size
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
    batch = Batch(indices=torch.arange(count), images=images, labels=torch.arange(count) % 2, masks=None, unreadable=())
    learner.start_epoch(1)
    learner.step(batch, 0.5)
    start, steps = time.perf_counter(), 0
    while steps < 2 or (time.perf_counter() - start < 2 and steps < 100):
        float(learner.step(batch, 0.5))
        steps += 1
    return count * steps / (time.perf_counter() - start)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """The trainings of a table.

    Attributes:
        runs: each of them, finished ones too.
        speed: how fast networks train here; ``None`` if nothing is left.
    """

    runs: Sequence[PlannedRun]
    speed: Speed | None

    @property
    def left(self) -> list[PlannedRun]:
        """The trainings that are not finished."""
        return [run for run in self.runs if run.images_left]

    @property
    def seconds_left(self) -> float:
        """Seconds that the rest takes on this machine, one after the other, without decoding and scoring."""
        return 0.0 if self.speed is None else sum(self.speed.seconds(run) for run in self.left)
