"""Many cells' results as the few files that `sfic-bench report` and ``compare`` read."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfic_bench.sweep.store import Store
from sfic_bench.sweep.work import Task

MACHINE = ("processor", "threads", "cuda", "driver", "machine", "onednn_max_cpu_isa")
"""Facts of an environment that times of one file share."""

CONDITIONS = ("device", "dtype", "batch_size", "input_size", "training")
"""Columns that the rows of one file of times share."""


def collect(tasks: Sequence[Task], store: Store) -> list[str]:
    """Write the results of ``tasks`` that there are as one file a kind; times of different devices or conditions apart.

    Of several cells that have timed the same vanilla network, the first one's row is kept; each SFIC row has the ratio to the
    vanilla network that it was timed beside.
    """
    done = store.keys("results")
    found: dict[str, list[tuple[Task, Mapping[str, Any]]]] = {}
    for task in tasks:
        if task.key in done and (document := store.read(f"results/{task.key}.json")) is not None:
            found.setdefault(task.cell.command, []).append((task, document))
    files = []
    for stem, parts in (
        ("cost", _costs(document for _, document in found.get("cost", ()))),
        ("latency", _times(found.get("latency", ()))),
        ("accuracy", _accuracies(found.get("accuracy", ()), store)),
    ):
        names = (f"{stem}.json" if number == 1 else f"{stem}-{number}.json" for number in itertools.count(1))
        for merged, name in zip(parts, names, strict=False):
            store.write(name, merged)
            files.append(name)
        # An earlier sweep may have found more kinds.
        for name in itertools.takewhile(store.has, names):
            store.remove(name)
    return files


def _merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first one's head, with every row, each network's once."""
    first = documents[0]
    hosts = sorted({document["cell"]["host"] for document in documents})
    head = {k: v for k, v in first.items() if k not in ("cell", "rows", "families")}
    rows: dict[str, Any] = {}
    for document in documents:
        for row in document["rows"]:
            rows.setdefault(_identity(row), row)
    return {**head, "environment": {**first["environment"], "nodes": hosts}, "rows": list(rows.values())}


def _identity(row: Mapping[str, Any]) -> str:
    names = ("backbone", "alpha", "beta", "path", "l2", "channels_last", "input_size", "classes")
    return json.dumps([row.get(name) for name in names])


def _costs(documents: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    if documents := list(documents):
        yield _merged(documents)


def _times(found: Iterable[tuple[Task, Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    alike: dict[str, list[tuple[Task, Mapping[str, Any]]]] = {}
    for task, document in found:
        environment, row = document["environment"], document["rows"][0]
        layouts = sorted({each["channels_last"] for each in document["rows"]})
        same = [environment.get(name) for name in MACHINE] + [row[name] for name in CONDITIONS] + layouts
        alike.setdefault(json.dumps(same), []).append((task, document))
    for group in alike.values():
        families = [
            family | {"name": task.cell.network, "node": document["cell"]["host"]}
            for task, document in group
            for family in document["families"]
        ]
        yield {**_merged([document for _, document in group]), "families": families}


def _accuracies(found: Sequence[tuple[Task, Mapping[str, Any]]], store: Store) -> Iterator[dict[str, Any]]:
    """Runs that differ in network and seed alone, together: intervals over seeds, and the difference from vanilla."""
    if not found:
        return
    from sfic_bench.sweep import training
    from sfic_bench.sweep.work import variant_of
    from sfic_bench.train import accuracy
    from sfic_bench.train.runs import Run

    alike: dict[str, list[tuple[Task, Mapping[str, Any]]]] = {}
    for task, document in found:
        apart = ("backbone", "alpha", "beta", "train_on", "seed")
        same = {k: v for k, v in task.cell.asked.items() if k not in apart}
        alike.setdefault(json.dumps([same, document["recipe"]["batch_size"]], sort_keys=True), []).append(
            (task, document)
        )
    for group in alike.values():
        predicted: dict[tuple[Any, str, str], dict[int, Any]] = {}
        tested: dict[str, Any] = {}  # by what was trained on; manifests are long
        for task, document in group:
            cell = task.cell
            if cell.asked["train_on"] not in tested:
                tested[cell.asked["train_on"]] = training.experiments_of(cell)
            with store.folder(document["cell"]["run"], only="predictions*.parquet") as folder:
                for experiment in tested[cell.asked["train_on"]]:
                    place = variant_of(cell.asked), experiment.train_on, experiment.test_on
                    seen = accuracy.predictions(Run(Path(folder)), experiment)
                    predicted.setdefault(place, {})[cell.asked["seed"]] = seen
        cells = [
            accuracy.Cell(variant=v, train_on=a, test_on=b, runs=[runs[seed] for seed in sorted(runs)])
            for (v, a, b), runs in predicted.items()
        ]
        task, document = group[0]
        seeds = sorted({seed for runs in predicted.values() for seed in runs})
        recipe = replace(training.recipe_of(task.cell, document["recipe"]["batch_size"]), seed=seeds[0])
        yield accuracy.document(cells, task.cell.asked["protocol"], recipe, seeds)
