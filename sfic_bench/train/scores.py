"""How well scores tell fake from real, per image and per video. Reset by being a function: nothing is carried over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_roc,
    binary_stat_scores,
)

RESAMPLES = 1000

NAMES = ("auc", "bacc", "ap", "eer", "tpr_at_fpr_1e-2", "tpr_at_fpr_1e-3")

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A metric in [0, 1] with its 95% interval; ``None`` where it cannot be had, as an AUC of one class."""

    value: float | None
    low: float | None = None
    high: float | None = None


def metrics(score: Array, label: Array) -> dict[str, float | None]:
    """Every metric of `NAMES`.

    Args:
        score: probability that an image is fake, N values in [0, 1].
        label: 1 for fake, 0 for real, N values.

    ``bacc`` is the mean of both classes' accuracies at 0.5. ``eer``: where misses and false alarms are equally many.
    ``tpr_at_fpr_…``: the share of fakes found with at most that share of false alarms.
    """
    predicted, target = torch.tensor(score), torch.tensor(label).long()
    if not 0 < target.sum() < len(target):
        return dict.fromkeys(NAMES)
    tp, fp, tn, fn, _ = binary_stat_scores(predicted, target, threshold=0.5).tolist()
    fpr, tpr, _ = binary_roc(predicted, target)
    return {
        "auc": float(binary_auroc(predicted, target)),
        "bacc": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "ap": float(binary_average_precision(predicted, target)),
        "eer": _equal_error(fpr.double().numpy(), tpr.double().numpy()),
        **{f"tpr_at_fpr_{name}": float(tpr[fpr <= float(name)].max()) for name in ("1e-2", "1e-3")},
    }


def _equal_error(fpr: Array, tpr: Array) -> float:
    """On the line between the two points of the ROC between which misses become fewer than false alarms."""
    difference = fpr - (1 - tpr)  # rises from −1 to 1
    at = int(np.argmax(difference >= 0))
    if at == 0:
        return float(fpr[0])
    before, after = difference[at - 1], difference[at]
    share = -before / (after - before)
    return float(fpr[at - 1] + share * (fpr[at] - fpr[at - 1]))


def summary(predictions: pd.DataFrame) -> dict[str, dict[str, Score]]:
    """Metrics per image (``"frame"``) and per video (``"video"``: the mean of its images' scores), with intervals.

    Args:
        predictions: one row an image, with columns ``score``, ``label``, ``dataset`` and ``video``.
    """
    clustered = Clustered([predictions])
    found = {}
    for level, (score, label) in clustered.levels.items():
        drawn = clustered.bootstrap(level)
        values = metrics(score[0], label)
        found[level] = {name: _score(value, drawn.get(name)) for name, value in values.items()}
    return found


def over_seeds(
    seeds: Sequence[pd.DataFrame], baseline: Sequence[pd.DataFrame] | None = None, level: str = "frame"
) -> dict[str, Score]:
    """Mean AUC and balanced accuracy over runs that differ in their seed alone, or by how much it exceeds the baseline's.

    The interval resamples both what differs by chance: runs, and videos, the same for both sides.

    Args:
        seeds: predictions of each run, of the same images.
        baseline: those of another network's runs, to be taken off.
        level: ``"frame"`` or ``"video"``.
    """
    here = Clustered(seeds)
    values, drawn = here.means(level), here.bootstrap(level)
    if baseline is not None:
        there = Clustered(baseline)
        theirs, their_drawn = there.means(level), there.bootstrap(level)
        values = {n: None if v is None or (w := theirs[n]) is None else v - w for n, v in values.items()}
        drawn = {n: drawn[n] - their_drawn[n] for n in drawn}
    return {name: _score(value, drawn.get(name)) for name, value in values.items()}


class Clustered:
    """Scores of the same images by one run or several, resampled by video.

    Images of a video are much alike; resampling them one by one would pretend that there are more than there are (Field &
    Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 2007).
    """

    def __init__(self, runs: Sequence[pd.DataFrame]) -> None:
        first = runs[0]
        clusters = first.groupby(["dataset", "video", "label"], sort=True)
        codes = clusters.ngroup().to_numpy()
        self.members = [np.flatnonzero(codes == i) for i in range(clusters.ngroups)]
        scores = np.stack([run["score"].to_numpy(dtype=float) for run in runs])
        label = first["label"].to_numpy(dtype=float)
        of_video = np.stack([scores[:, m].mean(axis=1) for m in self.members], axis=1)
        self.levels = {
            "frame": (scores, label),
            "video": (of_video, np.array([label[m[0]] for m in self.members])),
        }

    def means(self, level: str) -> dict[str, float | None]:
        scores, label = self.levels[level]
        return _mean([fast_metrics(score, label) for score in scores])

    def bootstrap(self, level: str) -> dict[str, Array]:
        """`RESAMPLES` values of each metric, NaN where a draw has one class alone; with a fixed seed."""
        scores, label = self.levels[level]
        rng = np.random.default_rng(0)
        found: dict[str, list[float]] = {"auc": [], "bacc": []}
        for _ in range(RESAMPLES):
            chosen = rng.integers(len(self.members), size=len(self.members))
            runs = rng.integers(len(scores), size=len(scores))
            images = np.concatenate([self.members[i] for i in chosen]) if level == "frame" else chosen
            drawn = _mean([fast_metrics(scores[run][images], label[images]) for run in runs])
            for name, values in found.items():
                value = drawn[name]
                values.append(float("nan") if value is None else value)
        return {name: np.array(values) for name, values in found.items()}


def _mean(values: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in values[0]:
        known = [v for each in values if (v := each[name]) is not None]
        found[name] = sum(known) / len(known) if known else None
    return found


def fast_metrics(score: Array, label: Array) -> dict[str, float | None]:
    """AUC and balanced accuracy alone, in a fraction of the time: for the thousands of a bootstrap."""
    fakes = label == 1
    n, m = int(fakes.sum()), int((~fakes).sum())
    if not n or not m:
        return {"auc": None, "bacc": None}
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # ties share the mean of their ranks
    auc = (ranks[fakes].sum() - n * (n + 1) / 2) / (n * m)
    right = score > 0.5
    return {"auc": float(auc), "bacc": float((right[fakes].mean() + (~right[~fakes]).mean()) / 2)}


def _score(value: float | None, drawn: Array | None) -> Score:
    """``value`` with the interval of what was ``drawn``, where nearly all draws have one."""
    if value is None or drawn is None or np.isnan(drawn).mean() > 0.1:
        return Score(value=value)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Score(value=value, low=float(low), high=float(high))
