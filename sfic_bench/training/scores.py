"""How well scores separate fake from real images and videos; all metrics are functions of a run's predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torchmetrics.functional import classification

from sfic_bench.results.scores import Level, Metrics, ReliabilityBin
from sfic_bench.statistics.interval import Interval
from sfic_bench.training.clustered import Array, ClusteredScores, rates
from sfic_bench.training.splits import UnusableData

FALSE_ALARMS = ("5e-2", "1e-2", "1e-3")
"""The rates of false alarms at which the rate of detected fakes is a metric."""

METRIC_NAMES = ("auc", "acc", "bacc", "f1", "ap", "eer", *(f"tpr_at_fpr_{rate}" for rate in FALSE_ALARMS), "ece")

BINS = 15
"""The number of ranges of the probability of fake by which calibration is measured, as Guo et al. 2017."""


def metrics(score: Array, label: Array) -> dict[str, float | None]:
    """Every metric of `METRIC_NAMES`; all are ``None`` if only one class is present.

    ``acc``, ``bacc`` and ``f1`` are accuracy, the mean of both classes' accuracies, and F1 of fakes; an image with over
    0.5 is called fake. ``eer`` is the rate at which misses and false alarms are equal. ``tpr_at_fpr_X`` is the largest
    rate of detected fakes with a rate of false alarms of at most X. ``ece`` is the expected calibration error, see
    `calibration_error`.

    Args:
        score: probability that an image is fake, N values in [0, 1].
        label: 1 for fake, 0 for real, N values.
    """
    predicted, target = torch.tensor(score), torch.tensor(label).long()
    if not 0 < target.sum() < len(target):
        return dict.fromkeys(METRIC_NAMES)
    called, is_fake = score > 0.5, label == 1
    counts = (np.array([of.sum()]) for of in (called & is_fake, called & ~is_fake, is_fake, ~is_fake))
    at_half = {name: float(value[0]) for name, value in rates(*counts).items()}
    fpr, tpr, _ = classification.binary_roc(predicted, target)
    excess = (fpr.double() - (1 - tpr.double())).numpy()  # of false alarms over misses, which rises from −1 to 1
    values = {
        **at_half,
        "auc": float(classification.binary_auroc(predicted, target)),
        "ap": float(classification.binary_average_precision(predicted, target)),
        "eer": float(np.interp(0, excess, fpr.double().numpy())),
        **{f"tpr_at_fpr_{rate}": float(tpr[fpr <= float(rate)].max()) for rate in FALSE_ALARMS},
        "ece": calibration_error(_bins(score, label)),
    }
    return {name: values[name] for name in METRIC_NAMES}


def reliability(predictions: pd.DataFrame) -> list[ReliabilityBin]:
    """The images in each of `BINS` ranges of the probability of fake, of equal width, without empty ones.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, Section 2, of the probability of fake
    instead of that of the predicted class.

    Args:
        predictions: one row an image, with columns ``score`` and ``label``.
    """
    score, label = (predictions[name].to_numpy(dtype=float) for name in ("score", "label"))
    return _bins(score, label)


def _bins(score: Array, label: Array) -> list[ReliabilityBin]:
    edges = np.arange(BINS + 1) / BINS
    of_image = np.searchsorted(edges[1:-1], score, side="right")
    images = np.bincount(of_image, minlength=BINS)
    sums = (np.bincount(of_image, weights=values, minlength=BINS) for values in (score, label))
    means, fakes = (total / np.maximum(images, 1) for total in sums)
    return [
        ReliabilityBin(
            low=float(edges[i]), high=float(edges[i + 1]), images=int(images[i]),
            mean=float(means[i]), fakes=float(fakes[i]),
        )
        for i in np.flatnonzero(images)
    ]  # fmt: skip


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The expected calibration error: the mean over all images of how far share of fakes and mean probability differ.

    torchmetrics gives probabilities of exactly 1 a bin of their own, and cuts at edges in float32.
    """
    return sum(of.images * abs(of.fakes - of.mean) for of in bins) / sum(of.images for of in bins)


def summary(predictions: pd.DataFrame) -> dict[Level, Metrics]:
    """Metrics per image (``"frame"``) and per video (``"video"``); those that `ClusteredScores` draws have intervals.

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
        scores[level] = {name: with_interval(v, draws.get(name)) for name, v in metrics(score[0], label).items()}
    return scores


def over_seeds(
    seeds: Sequence[pd.DataFrame], baseline: Sequence[pd.DataFrame] | None = None, level: Level = "frame"
) -> Metrics:
    """Means over runs that differ only in their seed, or their difference from a baseline: AUC, and accuracies at 0.5.

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
    return {name: with_interval(value, draws.get(name)) for name, value in values.items()}


def with_interval(value: float | None, draws: Array | None) -> Interval | None:
    """``value`` with the 95% interval of its ``draws``, if at least nine tenths of them have a value."""
    if value is None:
        return None
    if draws is None or np.isnan(draws).mean() > 0.1:
        return Interval(estimate=value)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Interval(estimate=value, low=float(low), high=float(high))
