"""Many jobs' results as the few files that `sfic-bench report` and ``compare`` read."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec
from msgspec import structs

from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.cost import CostResult
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Key
from sfic_bench.results.read import Result
from sfic_bench.results.timing import TimingResult, merged
from sfic_bench.sweep.jobs import AnyJob, TrainJob
from sfic_bench.sweep.kept import JobRecord, kept
from sfic_bench.sweep.store import Store
from sfic_bench.sweep.work import Task

if TYPE_CHECKING:
    import pandas as pd

J = TypeVar("J", bound=AnyJob)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True)
class FinishedJob(Generic[J, R]):
    """A job with its result and the record of how it came about."""

    job: J
    result: R
    record: JobRecord


Counted = FinishedJob[AnyJob, CostResult]
Timed = FinishedJob[AnyJob, TimingResult]
Scored = FinishedJob[TrainJob, AccuracyResult]


def collect(tasks: Sequence[Task], store: Store) -> list[str]:
    """Write the results of ``tasks`` to one file of each kind; return the files' names.

    Times of different devices or conditions, and accuracies of different recipes, are in files of their own. If several
    jobs timed the same vanilla network, the first one's row is kept; an SFIC row's ratio is to that of its own rounds.
    """
    keys = store.keys("results")
    counted: list[Counted] = []
    timed: list[Timed] = []
    scored: list[Scored] = []
    for task in tasks:
        if task.key not in keys or (file := kept(store, task.key)) is None:
            continue
        match file.result, task.job:
            case CostResult() as cost, job:
                counted.append(FinishedJob(job, cost, file.record))
            case TimingResult() as times, job:
                timed.append(FinishedJob(job, times, file.record))
            case AccuracyResult() as accuracy, TrainJob() as job:
                scored.append(FinishedJob(job, accuracy, file.record))
    written = []
    for stem, results in (
        ("cost", _costs(counted)),
        ("latency", _times(timed)),
        ("accuracy", _accuracies(scored, store)),
    ):
        names = (f"{stem}.json" if number == 1 else f"{stem}-{number}.json" for number in itertools.count(1))
        for result, name in zip(results, names, strict=False):
            store.write(name, result)
            written.append(name)
        # An earlier sweep may have written more files of the kind.
        store.remove(*itertools.takewhile(store.has, names))
    return written


def _environment(first: Environment, records: Iterable[JobRecord]) -> Environment:
    return structs.replace(first, nodes=sorted({record.host for record in records}))


class _Keyed(Protocol):
    @property
    def key(self) -> Key: ...


Row = TypeVar("Row", bound=_Keyed)


def _first_of_each_key(rows: Iterable[Row]) -> list[Row]:
    by_key: dict[Key, Row] = {}
    for row in rows:
        by_key.setdefault(row.key, row)
    return list(by_key.values())


def _costs(counted: Sequence[Counted]) -> Iterator[CostResult]:
    if counted:
        environment = _environment(counted[0].result.environment, (c.record for c in counted))
        yield CostResult(
            environment=environment, rows=_first_of_each_key(row for c in counted for row in c.result.rows)
        )


def _times(timed: Iterable[Timed]) -> Iterator[TimingResult]:
    """Times of the same machine and conditions together; each family names its network and node."""
    groups: dict[bytes, list[Timed]] = {}
    for finished in timed:
        groups.setdefault(_machine_and_conditions(finished.result), []).append(finished)
    for group in groups.values():
        results = []
        for job, result, record in ((f.job, f.result, f.record) for f in group):
            families = [structs.replace(f, name=str(job.network), node=record.host) for f in result.families]
            results.append(structs.replace(result, families=families))
        result = merged(results)
        yield structs.replace(result, environment=_environment(result.environment, (f.record for f in group)))


def _machine_and_conditions(result: TimingResult) -> bytes:
    e = result.environment
    machine = (e.processor, e.threads, e.cuda, e.driver, e.machine, e.onednn_max_cpu_isa)
    return msgspec.json.encode([machine, result.conditions])


def _accuracies(scored: Sequence[Scored], store: Store) -> Iterator[AccuracyResult]:
    """One result for all runs that differ only in network, data and seed, with intervals over seeds."""
    apart = ("backbone", "alpha", "beta", "on_unsupported", "train_on", "seed")
    groups: dict[str, list[Scored]] = {}
    for run in scored:
        same = {name: value for name, value in run.job.facts().items() if name not in apart}
        same["batch_size"] = run.result.recipe["batch_size"]  # smaller than the job's if that did not fit the memory
        groups.setdefault(json.dumps(same, sort_keys=True), []).append(run)
    for group in groups.values():
        yield _scored_together(group, store)


def _scored_together(group: Sequence[Scored], store: Store) -> AccuracyResult:
    from sfic_bench.train import accuracy
    from sfic_bench.train.runs import Run

    experiments = {run.job.train_on: run.job.experiments() for run in group}
    variants = {str(run.job.network): run.job.network for run in group}
    predictions: dict[tuple[str, str, str], list[pd.DataFrame]] = {}
    for run in sorted(group, key=lambda run: run.job.recipe.seed):
        with store.folder(run.record.run, only="predictions*.parquet") as folder:
            for e in experiments[run.job.train_on]:
                place = (str(run.job.network), e.train_on, e.test_on)
                predictions.setdefault(place, []).append(accuracy.predictions(Run(folder), e))
    order = list(variants)
    runs = [
        accuracy.ExperimentRuns(variant=variants[network], train_on=train_on, test_on=test_on, runs=frames)
        for (network, train_on, test_on), frames in sorted(
            predictions.items(), key=lambda item: order.index(item[0][0])
        )
    ]
    first = group[0]
    seeds = sorted({run.job.recipe.seed for run in group})
    recipe = first.job.recipe_with(int(str(first.result.recipe["batch_size"])))
    return accuracy.result(runs, first.job.protocol, replace(recipe, seed=seeds[0]), seeds)
