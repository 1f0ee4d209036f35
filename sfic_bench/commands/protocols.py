"""Many trainings: a protocol over a grid of networks and seeds, and the paper's tables."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.choices import OnUnsupported, TableNumber
from sfic_bench.commands.given import (
    FilePath,
    Names,
    Ratios,
    grid_named,
    loggers_of,
    manifests_of,
    paths_in,
    several,
    tell_unreadable,
    training_packages,
)
from sfic_bench.commands.watcher import UNWATCHED, Watcher
from sfic_bench.errors import InvalidValue, member
from sfic_bench.networks.variant import Variant
from sfic_bench.paper.wide import PaperTable, filled
from sfic_bench.processes import is_first_process
from sfic_bench.results.accuracy import AccuracyResult, AccuracyRow
from sfic_bench.results.environment import environment
from sfic_bench.results.read import read_accuracies
from sfic_bench.results.tables import PaperTableResult
from sfic_bench.training.presets import Preset, recipe_of
from sfic_bench.training.recipe import ONE_CPU, EvaluationProtocol, Recipe, TrainingDevices

if TYPE_CHECKING:
    from sfic_bench.commands.given import Loggers, OneOrMoreData
    from sfic_bench.training.logs import LoggerMaker
    from sfic_bench.training.protocols import Experiment
    from sfic_bench.training.tables import TrainingPlan

LOG = logging.getLogger(__name__)


def accuracy(
    runs: FilePath,
    *,
    protocol: EvaluationProtocol | str = EvaluationProtocol.INTRA,
    backbone: Names = "resnet26",
    alpha: Ratios = None,
    beta: Ratios = None,
    against: str | None = None,
    vanilla: bool = True,
    data: "OneOrMoreData" = "orl",
    compression: Names = (),
    seeds: int | Sequence[int] = 7,
    recipe: Recipe | str = Preset.PAPER,
    devices: TrainingDevices = ONE_CPU,
    logger: "Loggers" = None,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    watch: Watcher = UNWATCHED,
) -> AccuracyResult:
    """Train and score a grid of networks by one of the paper's protocols, each with several seeds.

    Finished runs are not repeated, and stopped runs are resumed, so that the same call completes or extends a grid.

    Args:
        runs: folder of the runs.
        protocol: which data are trained on, and which are tested.
        backbone, on_unsupported: as for `sfic_bench.flops`.
        alpha, beta: ratios of the SFIC forms; .5 and 1 if not given, and no SFIC forms of detectors.
        against: backbone whose vanilla network all others are compared with; each network's own if not given.
        vanilla: whether each backbone's vanilla network is trained, too; that of ``against`` always is.
        data: manifests or their paths, one or several; ``"orl"`` for the embedded images.
        compression: only images of these compressions.
        seeds: one seed or several; each network has a run for each.
        recipe, devices, logger: as for `sfic_bench.train`; the recipe's seed is not used.
        watch: gets the rows so far after each network.

    Raises:
        InvalidValue: as `sfic_bench.train` does, and if no network is left without the vanilla ones.
        UnusableRun, UnusableData, UnknownName: as `sfic_bench.train` does.
    """
    kind = member(EvaluationProtocol, protocol, "protocol")
    grid = grid_named(backbone, alpha, beta, on_unsupported, default_alphas=(0.5,), default_betas=(1.0,))
    settings, numbers = _settings(recipe), several(seeds)
    with training_packages():
        from sfic_bench.training.accuracy import result
        from sfic_bench.training.protocols import experiments

        loggers, manifests = loggers_of(logger), manifests_of(data, compression)
        rival = [] if against is None else [Variant(backbone=against)]
        networks = dict.fromkeys([*rival, *(variant for variant in grid if vanilla or not variant.is_vanilla)])
        if not networks:
            raise InvalidValue(
                "no network is left to train without the vanilla ones: expected an α, or a network to compare with"
            )
        pairs = [(variant, experiment) for experiment in experiments(kind, manifests) for variant in networks]

        def so_far(rows: Sequence[AccuracyRow]) -> AccuracyResult:
            return result(rows, kind, settings, numbers)

        def keep(rows: Sequence[AccuracyRow]) -> None:
            watch.keep(so_far(rows))

        return so_far(_trained(pairs, settings, numbers, devices, Path(runs), keep, watch, against, loggers))


def table(
    number: TableNumber | str,
    data: "OneOrMoreData",
    runs: FilePath,
    *,
    seeds: int | Sequence[int] = 7,
    recipe: Recipe | str = Preset.PAPER,
    devices: TrainingDevices = ONE_CPU,
    logger: "Loggers" = None,
    watch: Watcher = UNWATCHED,
) -> PaperTableResult:
    """Train and score exactly the networks of one of the paper's tables, and put each figure beside the printed one.

    Finished runs are found again, and stopped ones are resumed.

    Args:
        number: the paper's number, ``"II"`` to ``"IX"``.
        data: manifests or their paths, one or several.
        runs: folder of the runs.
        seeds, recipe, devices, logger: as for `accuracy`.
        watch: gets the cells so far after each network.

    Raises:
        InvalidValue: also if no column of the table has data.
        UnusableRun, UnusableData, UnknownName: as `sfic_bench.train` does.
    """
    paper = PaperTable.of(member(TableNumber, number, "table"))
    settings, numbers = _settings(recipe), several(seeds)
    with training_packages():
        from sfic_bench.training import accuracy as accuracies
        from sfic_bench.training.learner import lacks_masks
        from sfic_bench.training.tables import columns

        loggers = loggers_of(logger)
        pairs, without = _pairs(paper, data)
        notes = [f"not measured, for want of data: {columns(without)}"] if without else []
        if unmasked := sorted({v.backbone for v, e in pairs if lacks_masks(v, e.data)}):
            notes.append(f"{', '.join(unmasked)} learnt by its classification loss alone: the fakes have no masks")

        def so_far(rows: Sequence[AccuracyRow]) -> PaperTableResult:
            return _filled(paper, [accuracies.result(rows, paper.number, settings, numbers)], notes)

        def keep(rows: Sequence[AccuracyRow]) -> None:
            watch.keep(so_far(rows))

        return so_far(_trained(pairs, settings, numbers, devices, Path(runs), keep, watch, loggers=loggers))


def fill_table(number: TableNumber | str, results: FilePath | Sequence[FilePath]) -> PaperTableResult:
    """Fill one of the paper's tables with accuracies that were measured before.

    Args:
        number: the paper's number, ``"II"`` to ``"IX"``.
        results: files that `accuracy` or a sweep wrote as JSON.

    Raises:
        UnreadableResult: for a file that holds no accuracies.
    """
    paper = PaperTable.of(member(TableNumber, number, "table"))
    return _filled(paper, [read_accuracies(path) for path in paths_in(results)], ())


def plan_table(
    number: TableNumber | str,
    data: "OneOrMoreData",
    runs: FilePath,
    *,
    seeds: int | Sequence[int] = 7,
    recipe: Recipe | str = Preset.PAPER,
    devices: TrainingDevices = ONE_CPU,
    watch: Watcher = UNWATCHED,
) -> "TrainingPlan":
    """Say what `table` would train, and for how long, and train nothing; arguments and errors are its own.

    The time is from a few steps of some of the networks, measured now.
    """
    paper = PaperTable.of(member(TableNumber, number, "table"))
    settings = _settings(recipe)
    with training_packages():
        from sfic_bench.training.tables import TrainingPlan, measured_speed, planned

        pairs, _ = _pairs(paper, data)
        plan = list(planned(pairs, settings, several(seeds), Path(runs)))
        variants = [run.variant for run in plan if run.images_left]
        with watch.progress("measuring", 1):
            speed = measured_speed(variants, settings, devices) if variants else None
        return TrainingPlan(runs=plan, speed=speed)


def _settings(recipe: Recipe | str) -> Recipe:
    return recipe_of(recipe, {}) if isinstance(recipe, str) else recipe


def _pairs(
    paper: PaperTable, data: "OneOrMoreData"
) -> "tuple[list[tuple[Variant, Experiment]], list[tuple[str, str]]]":
    """Each network of a table with each experiment that gives a column, and the columns that have no data."""
    from sfic_bench.training.tables import experiments_of

    selected, without = experiments_of(paper, manifests_of(data))
    return [(variant, experiment) for experiment in selected for variant in paper.networks], without


def _filled(paper: PaperTable, results: Sequence[AccuracyResult], notes: Sequence[str]) -> PaperTableResult:
    from sfic_bench.data.draws import names_of  # imports pandas

    if not results:
        raise InvalidValue("no result file is named: expected files of accuracies")
    rows = [row for result in results for row in result.rows]
    return PaperTableResult(
        environment=environment(), table=paper.number, recipe=results[0].recipe,
        seeds=sorted({seed for result in results for seed in result.seeds}), notes=list(notes),
        rows=filled(paper, rows, names_of(rows)),
    )  # fmt: skip


def _trained(
    pairs: "Sequence[tuple[Variant, Experiment]]",
    recipe: Recipe,
    seeds: Sequence[int],
    devices: TrainingDevices,
    runs: Path,
    keep: Callable[[Sequence[AccuracyRow]], None],
    watch: Watcher,
    against: str | None = None,
    loggers: "Mapping[str, LoggerMaker] | None" = None,
) -> list[AccuracyRow]:
    """Train and test each network in its experiment with each seed, unless that is done; returns a row for each pair.

    Experiments with the same training data share their runs. ``keep`` is called with all that is finished after each
    pair. ``against`` is as in `sfic_bench.training.accuracy.RowMaker`. Of processes that train together, only the first
    has rows.
    """
    from sfic_bench.training.accuracy import ExperimentRuns, RowMaker, predictions, run_of, train_and_test
    from sfic_bench.training.learner import lacks_masks

    rows: list[AccuracyRow] = []
    maker, is_first = RowMaker(against), is_first_process()
    said: set[tuple[str, str]] = set()
    for variant, experiment in pairs:
        frames = []
        if is_first and lacks_masks(variant, experiment.data):
            place = (variant.backbone, experiment.train_on)
            if place not in said:
                LOG.warning("no fake of %s has a mask: %s learns by its classification loss alone", place[1], place[0])
            said.add(place)
        for seed in seeds:
            run = run_of(runs, variant, experiment.train_on, seed)
            title = f"{variant}, {experiment.train_on}, seed {seed}"
            with watch.training(title) as listener:
                unreadable = train_and_test(
                    variant, experiment, replace(recipe, seed=seed), devices, run, listener, loggers
                )
            tell_unreadable(unreadable)
            frames.append(predictions(run, experiment))
            if is_first:
                done, count = len(rows) * len(seeds) + len(frames), len(pairs) * len(seeds)
                watch.trained(f"{title}, tested on {experiment.test_on}", done, count)
        if is_first:
            train_on, test_on = experiment.train_on, experiment.test_on
            group = ExperimentRuns(variant=variant, train_on=train_on, test_on=test_on, runs=frames)
            rows.append(maker.row(group))
            keep(rows)
    return rows
