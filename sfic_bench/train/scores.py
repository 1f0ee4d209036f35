"""How well scores separate fake from real images and videos; all metrics are functions of a run's predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torchmetrics.functional import classification

from sfic_bench.results.scores import Level, Metrics
from sfic_bench.statistics.interval import Interval
from sfic_bench.train.splits import UnusableData

RESAMPLES = 1000
"""The number of draws of a bootstrap."""

AT_ONCE = 2_000_000
"""The most weights of images that are in memory at a time."""

METRIC_NAMES = ("auc", "bacc", "ap", "eer", "tpr_at_fpr_1e-2", "tpr_at_fpr_1e-3")

Array = NDArray[np.float64]


def metrics(score: Array, label: Array) -> dict[str, float | None]:
    """Every metric of `METRIC_NAMES`; all are ``None`` if only one class is present.

    ``bacc`` is the mean of both classes' accuracies at a threshold of 0.5. ``eer`` is the rate at which misses and
    false alarms are equal. ``tpr_at_fpr_X`` is the largest rate of detected fakes with a rate of false alarms of at
    most X.

    Args:
        score: probability that an image is fake, N values in [0, 1].
        label: 1 for fake, 0 for real, N values.
    """
    predicted, target = torch.tensor(score), torch.tensor(label).long()
    if not 0 < target.sum() < len(target):
        return dict.fromkeys(METRIC_NAMES)
    tp, fp, tn, fn, _ = classification.binary_stat_scores(predicted, target, threshold=0.5).tolist()
    fpr, tpr, _ = classification.binary_roc(predicted, target)
    excess = (fpr.double() - (1 - tpr.double())).numpy()  # of false alarms over misses, which rises from −1 to 1
    return {
        "auc": float(classification.binary_auroc(predicted, target)),
        "bacc": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "ap": float(classification.binary_average_precision(predicted, target)),
        "eer": float(np.interp(0, excess, fpr.double().numpy())),
        **{f"tpr_at_fpr_{name}": float(tpr[fpr <= float(name)].max()) for name in ("1e-2", "1e-3")},
    }


def summary(predictions: pd.DataFrame) -> dict[Level, Metrics]:
    """Metrics per image (``"frame"``) and per video (``"video"``), with intervals.

    The score of a video is the mean of its images' scores.

    Args:
        predictions: one row an image, with columns ``score``, ``label``, ``dataset`` and ``video``.

    Raises:
        UnusableData: if there are no rows, since no image could be read.
    """
    if not len(predictions):
        raise UnusableData("no image of the split could be read")
    clustered = ClusteredScores([predictions])
    scores: dict[Level, Metrics] = {}
    for level, (score, label) in clustered.levels.items():
        draws = clustered.bootstrap(level)
        scores[level] = {name: _with_interval(v, draws.get(name)) for name, v in metrics(score[0], label).items()}
    return scores


def over_seeds(
    seeds: Sequence[pd.DataFrame], baseline: Sequence[pd.DataFrame] | None = None, level: Level = "frame"
) -> Metrics:
    """Mean AUC and balanced accuracy over runs that differ only in their seed, or the difference from a baseline.

    The interval resamples runs and videos, since both differ by chance. Both sides have the same draws.

    Args:
        seeds: the predictions of each run, of the same images.
        baseline: the predictions of another network's runs, whose means are subtracted.
        level: ``"frame"`` or ``"video"``.
    """
    clustered = ClusteredScores(seeds)
    values, draws = clustered.means(level), clustered.bootstrap(level)
    if baseline is not None:
        other = ClusteredScores(baseline)
        other_values, other_draws = other.means(level), other.bootstrap(level)
        values = {n: None if v is None or (w := other_values[n]) is None else v - w for n, v in values.items()}
        draws = {n: draws[n] - other_draws[n] for n in draws}
    return {name: _with_interval(value, draws.get(name)) for name, value in values.items()}


class ClusteredScores:
    """The scores of the same images by one run or several, resampled by video.

    The images of a video resemble each other. Resampling single images would make intervals too narrow, as if there
    were more independent images (Field & Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 2007).

    Attributes:
        codes: the number of each image's video.
        members: for each video the indices of its images.
        levels: by level, the scores of each run, R×N, and the labels, N.
    """

    def __init__(self, runs: Sequence[pd.DataFrame]) -> None:
        first = runs[0]
        clusters = first.groupby(["dataset", "video", "label"], sort=True)
        self.codes = clusters.ngroup().to_numpy()
        self.members = [np.sort(m) for m in np.split(np.argsort(self.codes), np.cumsum(np.bincount(self.codes))[:-1])]
        scores = np.stack([run["score"].to_numpy(dtype=float) for run in runs])
        label = first["label"].to_numpy(dtype=float)
        of_video = np.stack([scores[:, m].mean(axis=1) for m in self.members], axis=1)
        self.levels: dict[Level, tuple[Array, Array]] = {
            "frame": (scores, label),
            "video": (of_video, np.array([label[m[0]] for m in self.members])),
        }

    def means(self, level: Level) -> dict[str, float | None]:
        """The mean of AUC and balanced accuracy over the runs; ``None`` if only one class is present."""
        of_runs = self._weighted(level, np.ones((1, len(self.members))))
        known = {name: values.mean() for name, values in of_runs.items()}
        return {name: None if np.isnan(mean) else float(mean) for name, mean in known.items()}

    def bootstrap(self, level: Level) -> dict[str, Array]:
        """`RESAMPLES` values of each metric, drawn with a fixed seed; NaN where a draw has only one class.

        A draw takes as many videos and as many runs as there are, with replacement.
        """
        videos, runs = len(self.members), len(self.levels[level][0])
        rng = np.random.default_rng(0)
        drawn = [(rng.integers(videos, size=videos), rng.integers(runs, size=runs)) for _ in range(RESAMPLES)]
        counts = np.stack([np.bincount(chosen, minlength=videos) for chosen, _ in drawn]).astype(float)
        chosen_runs = np.stack([chosen for _, chosen in drawn])
        of_runs = self._weighted(level, counts)
        return {
            name: values[chosen_runs, np.arange(RESAMPLES)[:, None]].mean(axis=1) for name, values in of_runs.items()
        }

    def _weighted(self, level: Level, counts: Array) -> dict[str, Array]:
        """AUC and balanced accuracy of each run where each video counts as often as a row of ``counts`` says.

        The result is runs × rows, and NaN where a class is missing. Each run's images are sorted once for all rows.
        """
        scores, label = self.levels[level]
        codes = self.codes if level == "frame" else np.arange(len(self.members))
        real, fake = np.flatnonzero(label == 0), np.flatnonzero(label == 1)
        m, n = (counts @ np.bincount(codes[of], minlength=counts.shape[1]) for of in (real, fake))
        auc, bacc = np.empty((len(scores), len(counts))), np.empty((len(scores), len(counts)))
        step = max(1, AT_ONCE // len(codes))
        for run, score in enumerate(scores):
            ordered = real[np.argsort(score[real], kind="stable")]
            below, up_to = (np.searchsorted(score[ordered], score[fake], side=side) for side in ("left", "right"))
            for rows in (slice(start, start + step) for start in range(0, len(counts), step)):
                # How many real images count up to each place in the order of scores; 0 before the first.
                reals = np.pad(np.cumsum(np.take(counts[rows], codes[ordered], axis=1), axis=1), ((0, 0), (1, 0)))
                fakes = np.take(counts[rows], codes[fake], axis=1)
                # Of a fake and a real image the fake has the higher score, or half of it where they are equal.
                won = sum(np.einsum("ij,ij->i", fakes, np.take(reals, at, axis=1)) for at in (below, up_to)) / 2
                auc[run, rows] = won
            right = (score > 0.5) == (label == 1)
            of_video = [np.bincount(codes[of], weights=right[of], minlength=counts.shape[1]) for of in (real, fake)]
            with np.errstate(invalid="ignore", divide="ignore"):
                auc[run] /= n * m
                bacc[run] = (counts @ of_video[0] / m + counts @ of_video[1] / n) / 2
        return {"auc": auc, "bacc": bacc}


def _with_interval(value: float | None, draws: Array | None) -> Interval | None:
    """``value`` with the 95% interval of its ``draws``, if at least nine tenths of them have a value."""
    if value is None:
        return None
    if draws is None or np.isnan(draws).mean() > 0.1:
        return Interval(estimate=value)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Interval(estimate=value, low=float(low), high=float(high))
