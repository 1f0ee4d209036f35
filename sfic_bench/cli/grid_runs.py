"""Training and scoring many networks one after the other, which ``accuracy`` and ``table`` share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.cli import training_options
from sfic_bench.cli.output import say
from sfic_bench.cli.training_progress import report_finished, training_progress
from sfic_bench.networks.variant import Variant
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.train.recipe import Recipe, TrainingDevices

if TYPE_CHECKING:
    from sfic_bench.train.logs import LoggerMaker
    from sfic_bench.train.protocols import Experiment


def run_all(
    pairs: "Sequence[tuple[Variant, Experiment]]",
    recipe: Recipe,
    seeds: Sequence[int],
    devices: TrainingDevices,
    runs: Path,
    keep: Callable[[Sequence[AccuracyRow]], object],
    against: str | None = None,
    loggers: "Mapping[str, LoggerMaker] | None" = None,
) -> list[AccuracyRow]:
    """Train and test each network in its experiment with each seed, unless that is done; returns a row for each pair.

    Experiments with the same training data share their runs. ``keep`` is called with all that is finished after each
    pair, so that an early end loses nothing. ``against`` is as in `sfic_bench.train.accuracy.RowMaker`, ``loggers`` as
    in `sfic_bench.train.loop.train`.
    """
    from sfic_bench.train.accuracy import ExperimentRuns, RowMaker, predictions, run_of, train_and_test
    from sfic_bench.train.learner import lacks_masks

    rows: list[AccuracyRow] = []
    maker = RowMaker(against)
    said: set[tuple[str, str]] = set()
    for variant, experiment in pairs:
        frames = []
        if training_options.is_first_process() and lacks_masks(variant, experiment.data):
            place = (variant.backbone, experiment.train_on)
            if place not in said:
                say(f"sfic-bench: no fake of {place[1]} has a mask: {place[0]} learns by its classification loss alone")
            said.add(place)
        for seed in seeds:
            run = run_of(runs, variant, experiment.train_on, seed)
            title = f"{variant}, {experiment.train_on}, seed {seed}"
            with training_progress(title) as listener:
                unreadable = train_and_test(
                    variant, experiment, replace(recipe, seed=seed), devices, run, listener, loggers
                )
            training_options.report_unreadable(unreadable)
            frames.append(predictions(run, experiment))
            if training_options.is_first_process():
                done, count = len(rows) * len(seeds) + len(frames), len(pairs) * len(seeds)
                report_finished(f"{title}, tested on {experiment.test_on}", done, count)
        if training_options.is_first_process():
            train_on, test_on = experiment.train_on, experiment.test_on
            group = ExperimentRuns(variant=variant, train_on=train_on, test_on=test_on, runs=frames)
            rows.append(maker.row(group))
            keep(rows)
    return rows
