"""Many jobs' results as the few files that `sfic-bench report` and ``compare`` read."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.cost import CostResult, CostRow
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Key
from sfic_bench.results.timing import TimingResult, merged
from sfic_bench.sweeping.jobs import AnyJob, TrainJob
from sfic_bench.sweeping.kept import JobRecord, kept
from sfic_bench.sweeping.store import Store
from sfic_bench.sweeping.work import Task

if TYPE_CHECKING:
    import pandas as pd

CountedJob = tuple[AnyJob, CostResult, JobRecord]
TimedJob = tuple[AnyJob, TimingResult, JobRecord]
ScoredJob = tuple[TrainJob, AccuracyResult, JobRecord]


def collect(tasks: Sequence[Task], store: Store) -> list[str]:
    """Write the results of ``tasks`` to one file of each kind; return the files' names.

    Times of different devices or conditions, and accuracies of different recipes, are in files of their own. If several
    jobs timed the same vanilla network, the first one's row is kept. Each SFIC row keeps the ratio of its own rounds.
    """
    keys = store.keys("results")
    counted: list[CountedJob] = []
    timed: list[TimedJob] = []
    scored: list[ScoredJob] = []
    for task in tasks:
        if task.key not in keys or (file := kept(store, task.key)) is None:
            continue
        match task.job, *file:
            case job, CostResult() as result, record:
                counted.append((job, result, record))
            case job, TimingResult() as result, record:
                timed.append((job, result, record))
            case TrainJob() as job, AccuracyResult() as result, record:
                scored.append((job, result, record))
    written = []
    kinds = (("cost", _costs(counted)), ("latency", _times(timed)), ("accuracy", _accuracies(scored, store)))
    for stem, documents in kinds:
        names = (f"{stem}.json" if number == 1 else f"{stem}-{number}.json" for number in itertools.count(1))
        for document, name in zip(documents, names, strict=False):
            store.write(name, document)
            written.append(name)
        # An earlier sweep may have written more files of the kind.
        store.remove(*itertools.takewhile(store.has, names))
    return written


def _environment(first: Environment, records: Iterable[JobRecord]) -> Environment:
    return structs.replace(first, nodes=sorted({record.host for record in records}))


def _costs(counted: Sequence[CountedJob]) -> Iterator[CostResult]:
    rows: dict[Key, CostRow] = {}
    for row in (row for _, result, _ in counted for row in result.rows):
        rows.setdefault(row.key, row)
    if counted:
        environment = _environment(counted[0][1].environment, (record for *_, record in counted))
        yield CostResult(environment=environment, rows=list(rows.values()))


def _times(timed: Iterable[TimedJob]) -> Iterator[TimingResult]:
    """Times of the same machine and conditions together; each family names its network and node."""
    groups: dict[bytes, list[TimedJob]] = {}
    for job, result, record in timed:
        name = str(job.network)
        families = [structs.replace(f, name=name, node=record.host) for f in result.families]
        curves = [structs.replace(curve, name=name) for curve in result.curves]
        named = structs.replace(result, families=families, curves=curves)
        groups.setdefault(_machine_and_conditions(result), []).append((job, named, record))
    for group in groups.values():
        result = merged([result for _, result, _ in group])
        environment = _environment(result.environment, (record for *_, record in group))
        yield structs.replace(result, environment=environment)


def _machine_and_conditions(result: TimingResult) -> bytes:
    e = result.environment
    machine = (e.processor, e.threads, e.cuda, e.driver, e.machine, e.onednn_max_cpu_isa)
    return msgspec.json.encode([machine, result.conditions, bool(result.curves)])


def _accuracies(scored: Sequence[ScoredJob], store: Store) -> Iterator[AccuracyResult]:
    """One result for all runs that differ only in network, data and seed, with intervals over seeds."""
    apart = ("backbone", "alpha", "beta", "on_unsupported", "train_on", "seed")
    groups: dict[str, list[ScoredJob]] = {}
    for job, result, record in scored:
        same = {name: value for name, value in job.facts().items() if name not in apart}
        same["batch_size"] = result.recipe["batch_size"]  # smaller than the job's if that did not fit the memory
        groups.setdefault(json.dumps(same, sort_keys=True), []).append((job, result, record))
    for group in groups.values():
        yield _scored_together(group, store)


def _scored_together(group: Sequence[ScoredJob], store: Store) -> AccuracyResult:
    from sfic_bench.training import accuracy
    from sfic_bench.training.runs import Run

    experiments = {job.train_on: job.experiments() for job, _, _ in group}
    variants = {str(job.network): job.network for job, _, _ in group}
    predictions: dict[tuple[str, str, str], list[pd.DataFrame]] = {}
    for job, _, record in sorted(group, key=lambda run: run[0].recipe.seed):
        with store.folder(record.run, only="predictions*.parquet") as folder:
            for e in experiments[job.train_on]:
                place = (str(job.network), e.train_on, e.test_on)
                predictions.setdefault(place, []).append(accuracy.predictions(Run(folder), e))
    order = list(variants)
    runs = [
        accuracy.ExperimentRuns(variant=variants[network], train_on=train_on, test_on=test_on, runs=frames)
        for (network, train_on, test_on), frames in sorted(
            predictions.items(), key=lambda item: order.index(item[0][0])
        )
    ]
    first, result, _ = group[0]
    seeds = sorted({job.recipe.seed for job, _, _ in group})
    recipe = first.recipe_with(int(str(result.recipe["batch_size"])))
    return accuracy.result(accuracy.rows_of(runs), first.protocol, replace(recipe, seed=seeds[0]), seeds)
