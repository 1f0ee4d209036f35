"""Many jobs' results as the few files that `sfic-bench report` and ``compare`` read."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec import structs

from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.cost import CostResult
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Key
from sfic_bench.results.read import Result
from sfic_bench.results.timing import TimingResult, merged
from sfic_bench.sweep.jobs import TrainJob
from sfic_bench.sweep.jobs.job import Job
from sfic_bench.sweep.kept import JobRecord, kept
from sfic_bench.sweep.store import Store
from sfic_bench.sweep.work import Task

J = TypeVar("J", bound=Job)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True)
class FinishedJob(Generic[J, R]):
    """A job with its result and the record of how it came about."""

    job: J
    result: R
    record: JobRecord


Scored = FinishedJob[TrainJob, AccuracyResult]


def collect(tasks: Sequence[Task], store: Store) -> list[str]:
    """Write the results of ``tasks`` that there are as one file a kind; times of different devices or conditions apart.

    Of several jobs that have timed the same vanilla network, the first one's row is kept; each SFIC row has the ratio to the
    vanilla network that it was timed beside.
    """
    keys = store.keys("results")
    counted: list[FinishedJob[Job, CostResult]] = []
    timed: list[FinishedJob[Job, TimingResult]] = []
    scored: list[Scored] = []
    for task in tasks:
        if task.key not in keys or (found := kept(store, task.key)) is None:
            continue
        match found.result, task.job:
            case CostResult() as cost, job:
                counted.append(FinishedJob(job, cost, found.record))
            case TimingResult() as times, job:
                timed.append(FinishedJob(job, times, found.record))
            case AccuracyResult() as accuracy, TrainJob() as job:
                scored.append(FinishedJob(job, accuracy, found.record))
    files = []
    for stem, results in (
        ("cost", _costs(counted)),
        ("latency", _times(timed)),
        ("accuracy", _accuracies(scored, store)),
    ):
        names = (f"{stem}.json" if number == 1 else f"{stem}-{number}.json" for number in itertools.count(1))
        for result, name in zip(results, names, strict=False):
            store.write(name, result)
            files.append(name)
        # An earlier sweep may have written more files of the kind.
        for name in itertools.takewhile(store.has, names):
            store.remove(name)
    return files


def _environment(first: Environment, records: Iterable[JobRecord]) -> Environment:
    return structs.replace(first, nodes=sorted({record.host for record in records}))


class _Row(Protocol):
    @property
    def key(self) -> Key: ...


Row = TypeVar("Row", bound=_Row)


def _once(rows: Iterable[Row]) -> list[Row]:
    """The first row of each key."""
    by_key: dict[Key, Row] = {}
    for row in rows:
        by_key.setdefault(row.key, row)
    return list(by_key.values())


def _costs(counted: Sequence[FinishedJob[Job, CostResult]]) -> Iterator[CostResult]:
    if counted:
        environment = _environment(counted[0].result.environment, (c.record for c in counted))
        yield CostResult(environment=environment, rows=_once(row for c in counted for row in c.result.rows))


def _times(timed: Iterable[FinishedJob[Job, TimingResult]]) -> Iterator[TimingResult]:
    groups: dict[bytes, list[FinishedJob[Job, TimingResult]]] = {}
    for finished in timed:
        groups.setdefault(_shared(finished.result), []).append(finished)
    for group in groups.values():
        result = merged([_named(finished) for finished in group])
        yield structs.replace(
            result, environment=_environment(result.environment, (finished.record for finished in group))
        )


def _named(timed: FinishedJob[Job, TimingResult]) -> TimingResult:
    """A result whose family says which network was timed on which node."""
    network, node = str(timed.job.network), timed.record.host
    families = [structs.replace(family, name=network, node=node) for family in timed.result.families]
    return structs.replace(timed.result, families=families)


def _shared(result: TimingResult) -> bytes:
    """What the times of one file share: machine and conditions."""
    of = result.environment
    machine = (of.processor, of.threads, of.cuda, of.driver, of.machine, of.onednn_max_cpu_isa)
    return msgspec.json.encode([machine, result.conditions])


def _accuracies(scored: Sequence[Scored], store: Store) -> Iterator[AccuracyResult]:
    """Runs that differ in network and seed alone, together: intervals over seeds, and the difference from vanilla."""
    groups: dict[str, list[Scored]] = {}
    for run in scored:
        apart = ("backbone", "alpha", "beta", "on_unsupported", "train_on", "seed")
        same = {name: value for name, value in run.job.facts().items() if name not in apart}
        same["batch_size"] = run.result.recipe["batch_size"]  # less than the job's, where the memory was too small
        groups.setdefault(json.dumps(same, sort_keys=True), []).append(run)
    for group in groups.values():
        yield _scored_together(group, store)


def _scored_together(group: Sequence[Scored], store: Store) -> AccuracyResult:
    from sfic_bench.train import accuracy
    from sfic_bench.train.runs import Run

    experiments = {run.job.train_on: run.job.experiments() for run in group}
    cells: dict[tuple[str, str, str], accuracy.ExperimentRuns] = {}
    for run in sorted(group, key=lambda run: run.job.recipe.seed):
        with store.folder(run.record.run, only="predictions*.parquet") as folder:
            for e in experiments[run.job.train_on]:
                place = (str(run.job.network), e.train_on, e.test_on)
                cell = cells.get(place) or accuracy.ExperimentRuns(
                    variant=run.job.network, train_on=e.train_on, test_on=e.test_on, runs=[]
                )
                predictions = accuracy.predictions(Run(Path(folder)), e)
                cells[place] = replace(cell, runs=[*cell.runs, predictions])
    first = group[0]
    seeds = sorted({run.job.recipe.seed for run in group})
    recipe = first.job.recipe_with(int(str(first.result.recipe["batch_size"])))
    order = {str(run.job.network): None for run in group}
    placed = sorted(cells.values(), key=lambda cell: list(order).index(str(cell.variant)))
    return accuracy.result(placed, first.job.protocol, replace(recipe, seed=seeds[0]), seeds)
