"""One training of a sweep, in this process or in several that torchrun starts.

``python -m torch.distributed.run … -m sfic_bench.sweep.training CELL.json RUN BATCH``
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sfic_bench.sweep.cell import Cell, Needs
from sfic_bench.sweep.manifests import manifests
from sfic_bench.sweep.work import Tell, variant_of
from sfic_bench.train import accuracy
from sfic_bench.train.loop import Machine, Progress
from sfic_bench.train.protocols import Experiment, experiments
from sfic_bench.train.recipe import Recipe
from sfic_bench.train.runs import Run

TOLD_EVERY_S = 1.0


def document(cell: Cell, folder: Path, batch_size: int, tell: Tell) -> dict[str, Any]:
    """Train, or go on with, the run in ``folder``, and score it: what ``accuracy`` writes, of one seed.

    Raises:
        RuntimeError: if a process of several ends without success.
    """
    if cell.asked["devices"] > 1:
        _in_several(cell, folder, batch_size)
    run, recipe = Run(folder), recipe_of(cell, batch_size)
    found = experiments_of(cell)
    if cell.asked["devices"] == 1:
        _train(cell, run, batch_size, tell)
    return accuracy.document(
        [
            accuracy.Cell(
                variant=variant_of(cell.asked),
                train_on=e.train_on,
                test_on=e.test_on,
                runs=[accuracy.predictions(run, e)],
            )
            for e in found
        ],
        cell.asked["protocol"],
        recipe,
        [recipe.seed],
    )


def recipe_of(cell: Cell, batch_size: int) -> Recipe:
    """How the cell is to be trained."""
    names = ("epochs", "learning_rate", "decay", "seed", "input_size", "precision")
    return Recipe(batch_size=batch_size, **{name: cell.asked[name] for name in names})


def experiments_of(cell: Cell) -> list[Experiment]:
    """All that are tested by the cell's training."""
    read = manifests(cell.asked["data"], cell.files, cell.asked["compression"])
    return [e for e in experiments(cell.asked["protocol"], read) if e.train_on == cell.asked["train_on"]]


def _train(cell: Cell, run: Run, batch_size: int, tell: Tell) -> None:
    last = 0.0

    def told(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > TOLD_EVERY_S:
            last = time.monotonic()
            tell(progress.images_per_s)

    machine = Machine(
        accelerator=cell.device,
        devices=cell.asked["devices"],
        workers=cell.needs.workers,
        skip_unreadable=cell.asked["skip_unreadable"],
    )
    for experiment in experiments_of(cell):
        accuracy.trained(variant_of(cell.asked), experiment, recipe_of(cell, batch_size), machine, run, told)


def _in_several(cell: Cell, folder: Path, batch_size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sfic-bench-") as temporary:
        path = Path(temporary) / "cell.json"
        path.write_text(json.dumps(asdict(cell)), encoding="utf-8")
        count = str(cell.asked["devices"])
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
        call = [
            sys.executable,
            *launch,
            "-m",
            "sfic_bench.sweep.training",
            str(path),
            str(folder),
            str(batch_size),
        ]
        done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    if done.returncode:
        if "OutOfMemoryError" in done.stdout:
            raise torch.OutOfMemoryError(f"one of {count} processes ran out of memory")
        raise RuntimeError(f"{count} processes that train together ended with exit status {done.returncode}")


def main() -> None:
    """One of several processes."""
    path, folder, batch_size = sys.argv[1:]
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    cell = Cell(**{**told, "needs": Needs(**told["needs"])})
    _train(cell, Run(Path(folder)), int(batch_size), lambda _: None)


if __name__ == "__main__":
    main()
