"""One training of a sweep, in this process or in several."""

import time
from pathlib import Path
from typing import Any

from sfic_bench.sweep.cell import Cell
from sfic_bench.sweep.launch import Host, ProcessesEnded, free_address, torchrun
from sfic_bench.sweep.manifests import manifests
from sfic_bench.sweep.work import Elsewhere, Tell, variant_of
from sfic_bench.train import accuracy
from sfic_bench.train.loop import Machine, Progress
from sfic_bench.train.protocols import Experiment, experiments
from sfic_bench.train.recipe import Recipe
from sfic_bench.train.runs import Run

TOLD_EVERY_S = 1.0

JOINED_WITHIN_S = 60.0
"""How long hosts may take to end after the first one has, or to be known as lost."""


def document(
    cell: Cell,
    folder: Path,
    batch_size: int,
    threads: int,
    tell: Tell,
    elsewhere: Elsewhere | None = None,
) -> dict[str, Any]:
    """Train, or go on with, the run in ``folder``, and score it: what ``accuracy`` writes, of one seed.

    Raises:
        TrainingFailed, ProcessesEnded: if a process of several ends without success.
    """
    run, recipe = Run(folder), recipe_of(cell, batch_size)
    if cell.asked["devices"] * cell.needs.hosts == 1:
        train(cell, run, batch_size, tell)
    elif cell.needs.hosts == 1:
        here = Host(rank=0, address=free_address("127.0.0.1"))
        torchrun(cell, folder, batch_size, threads, here, tell, lambda: None)
    else:
        assert elsewhere is not None, "no node is found for it without an engine that has several"
        _with_others(cell, folder, batch_size, threads, tell, elsewhere)
    return accuracy.document(
        [
            accuracy.Cell(
                variant=variant_of(cell.asked),
                train_on=e.train_on,
                test_on=e.test_on,
                runs=[accuracy.predictions(run, e)],
            )
            for e in experiments_of(cell)
        ],
        cell.asked["protocol"],
        recipe,
        [recipe.seed],
    )


def _with_others(
    cell: Cell, folder: Path, batch_size: int, threads: int, tell: Tell, elsewhere: Elsewhere
) -> None:
    others = elsewhere(folder, batch_size)
    first = Host(rank=0, address=others.address)
    try:
        try:
            torchrun(cell, folder, batch_size, threads, first, tell, others.check)
        except ProcessesEnded:
            others.check(JOINED_WITHIN_S)  # that one of them failed tells more than that the connection did
            raise
        others.check(JOINED_WITHIN_S)
    finally:
        others.stop()


def recipe_of(cell: Cell, batch_size: int) -> Recipe:
    """How the cell is to be trained."""
    names = ("epochs", "learning_rate", "decay", "seed", "input_size", "precision")
    return Recipe(batch_size=batch_size, **{name: cell.asked[name] for name in names})


def experiments_of(cell: Cell) -> list[Experiment]:
    """All that are tested by the cell's training."""
    read = manifests(cell.asked["data"], cell.files, cell.asked["compression"])
    return [e for e in experiments(cell.asked["protocol"], read) if e.train_on == cell.asked["train_on"]]


def train(cell: Cell, run: Run, batch_size: int, tell: Tell) -> None:
    """This process's part of the training."""
    last = 0.0

    def told(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > TOLD_EVERY_S:
            last = time.monotonic()
            tell(progress.images_per_s)

    machine = Machine(
        accelerator=cell.device,
        devices=cell.asked["devices"],
        hosts=cell.needs.hosts,
        workers=cell.needs.workers,
        skip_unreadable=cell.asked["skip_unreadable"],
    )
    for experiment in experiments_of(cell):
        accuracy.trained(variant_of(cell.asked), experiment, recipe_of(cell, batch_size), machine, run, told)
