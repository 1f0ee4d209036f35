"""Runs of a protocol: where each lies, what it predicts, and what several say together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sfic_bench.paper import accuracy_cells
from sfic_bench.report.environment import environment
from sfic_bench.spec import Variant
from sfic_bench.train.loop import Machine, Tell, train
from sfic_bench.train.predict import as_json
from sfic_bench.train.protocols import Experiment, as_printed
from sfic_bench.train.recipe import Recipe
from sfic_bench.train.runs import Run
from sfic_bench.train.scores import over_seeds
from sfic_bench.train.use import Trained

SCHEMA = "sfic-bench/accuracy/1"

METRICS: tuple[tuple[Literal["AUC", "BACC"], str], ...] = (("AUC", "auc"), ("BACC", "bacc"))
"""As the paper names them, and as we do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One network in one experiment: predictions of each seed's run."""

    variant: Variant
    train_on: str
    test_on: str
    runs: Sequence[pd.DataFrame]


def run_of(runs: Path, variant: Variant, train_on: str, seed: int) -> Run:
    """Where a run lies among ``runs``."""
    return Run(runs / slug(train_on) / f"{slug(str(variant))}-seed{seed}")


def trained(
    variant: Variant,
    experiment: Experiment,
    recipe: Recipe,
    machine: Machine,
    run: Run,
    tell: Tell | None = None,
) -> list[str]:
    """Train and test one network as ``experiment`` says, unless that is done; which images could not be read.

    Raises:
        UnusableRun: if ``run`` is another one.
        UnreadableData: for an image that cannot be read, unless they are to be skipped.
    """
    result = train(variant, recipe, experiment.data, run, machine, resume=True, tell=tell)
    unreadable = list(result["unreadable"])
    there, name = experiment.elsewhere, _predictions_of(experiment)
    if there is not None and not (run.folder / name).exists():
        predictions, unread = Trained(run, machine.accelerator).predictions(
            there.frame, there.folder, workers=machine.workers, skip_unreadable=machine.skip_unreadable
        )
        run.save_predictions(predictions, name)
        unreadable += unread
    return unreadable


def predictions(run: Run, experiment: Experiment) -> pd.DataFrame:
    """What a run that is `trained` predicts of the experiment's test images."""
    return run.predictions(_predictions_of(experiment))


def _predictions_of(experiment: Experiment) -> str:
    return (
        "predictions.parquet"
        if experiment.elsewhere is None
        else f"predictions-{slug(experiment.test_on)}.parquet"
    )


def slug(name: str) -> str:
    """``name`` as a file name that any system takes."""
    kept = name.replace("α=", "a").replace("β=", "b").replace("→", "to")
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in kept).split())


def document(cells: Sequence[Cell], protocol: str, recipe: Recipe, seeds: Sequence[int]) -> dict[str, Any]:
    """Rows as in the paper's tables, with intervals and, where the data are the paper's, its figure."""
    printed = {
        (c.variant, c.train_set, c.test_set, c.metric): c.percent for c in accuracy_cells() if c.variant
    }
    vanilla = {(c.variant.backbone, c.train_on, c.test_on): c.runs for c in cells if c.variant.is_vanilla}
    rows: list[dict[str, Any]] = []
    for cell in cells:
        v = cell.variant
        base = None if v.is_vanilla else vanilla.get((v.backbone, cell.train_on, cell.test_on))
        plain = Variant(backbone=v.backbone, alpha=v.alpha, beta=v.beta)
        row: dict[str, Any] = {
            "train_on": cell.train_on,
            "test_on": cell.test_on,
            "backbone": v.backbone,
            "alpha": v.alpha,
            "beta": v.beta,
            "seeds": len(cell.runs),
        }
        for level in ("frame", "video"):
            scores = as_json(over_seeds(cell.runs, level=level))
            row |= {f"{level}_{name}": score for name, score in scores.items()}
        if base is not None and len(base) == len(cell.runs):
            row |= {f"{name}_over_vanilla": s for name, s in as_json(over_seeds(cell.runs, base)).items()}
        for metric, name in METRICS:
            row[f"{name}_printed"] = printed.get(
                (plain, as_printed(cell.train_on), as_printed(cell.test_on), metric)
            )
        rows.append(row)
    return {
        "schema": SCHEMA,
        "environment": environment(),
        "protocol": protocol,
        "recipe": asdict(recipe),
        "seeds": list(seeds),
        "rows": rows,
    }
