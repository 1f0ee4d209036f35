"""Thresholds of the probability of fake: chosen on a run's validation images, used on any others.

An image that has more than a threshold is called fake.
"""

import numpy as np
import pandas as pd

from sfic_bench.choices import ThresholdRule
from sfic_bench.errors import InvalidValue, SficBenchError, UnknownName
from sfic_bench.results.scores import Level, Metrics, Thresholds
from sfic_bench.statistics.interval import Interval
from sfic_bench.training.clustered import Array, ClusteredScores
from sfic_bench.training.scores import with_interval

RATES = ("acc", "f1", "fpr", "tpr")
"""What is shown at a threshold."""


class NoThreshold(SficBenchError):
    """A threshold that a run does not have."""


def chosen_thresholds(predictions: pd.DataFrame) -> Thresholds | None:
    """The threshold by each `ThresholdRule`, or ``None`` without any image.

    A threshold lies midway between two scores; at the highest score nothing is called fake. Of equally good ones the
    highest is chosen, which has the fewest false alarms; for a rate of false alarms, the lowest that keeps to the rate.

    Args:
        predictions: one row for each validation image, with columns ``score`` and ``label``.
    """
    if not len(predictions):
        return None
    score, label = (predictions[name].to_numpy(dtype=float) for name in ("score", "label"))
    fake, real = int((label == 1).sum()), int((label == 0).sum())
    if not fake or not real:
        return Thresholds(images=len(label), values=dict.fromkeys(ThresholdRule))
    cuts, of_image = np.unique(score, return_inverse=True)
    # Called fake at each cut: those with higher scores. Comparing integers, no rate is rounded.
    tp, fp = (
        count - np.bincount(of_image, weights=label == value, minlength=len(cuts)).cumsum().astype(int)
        for count, value in ((fake, 1), (real, 0))
    )
    places = {
        ThresholdRule.EER: _last_least(abs(fp * fake - (fake - tp) * real)),
        ThresholdRule.FPR_5: int(np.argmax(fp * 100 <= 5 * real)),
        ThresholdRule.FPR_1: int(np.argmax(fp * 100 <= real)),
        ThresholdRule.YOUDEN: _last_least(fp * fake - tp * real),
    }
    middles = np.append((cuts[:-1] + cuts[1:]) / 2, cuts[-1])
    middles[:-1] = np.where(middles[:-1] < cuts[1:], middles[:-1], cuts[:-1])  # which rounding may have reached
    return Thresholds(images=len(label), values={rule: float(middles[place]) for rule, place in places.items()})


def _last_least(values: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> int:
    """The last place of the smallest value."""
    return len(values) - 1 - int(np.argmin(values[::-1]))


def at_thresholds(
    predictions: pd.DataFrame, thresholds: Thresholds | None
) -> dict[ThresholdRule, dict[Level, Metrics]]:
    """Accuracy, F1, FPR and TPR at each threshold that is known, per image and per video, with intervals.

    Args:
        predictions: one row an image, with columns ``score``, ``label``, ``dataset`` and ``video``.
        thresholds: those of the run that made the predictions.
    """
    values = thresholds.values if thresholds is not None else {}
    known = {rule: value for rule, value in values.items() if value is not None}
    clustered = ClusteredScores([predictions])
    scores: dict[ThresholdRule, dict[Level, Metrics]] = {rule: {} for rule in known}
    for level in clustered.levels:
        draws = clustered.bootstrap_at(level, list(known.values()))
        for (rule, value), drawn in zip(known.items(), draws, strict=True):
            whole = clustered.rates_at(level, value)
            scores[rule][level] = {name: _score(whole[name], drawn[name]) for name in RATES}
    return scores


def _score(value: float, draws: Array) -> Interval | None:
    return with_interval(None if np.isnan(value) else value, draws)


def named_threshold(thresholds: Thresholds | None, wanted: str | float, run: str) -> tuple[str, float]:
    """Name and value of a threshold: a number by itself, or what the rule of that name chose for a run.

    Args:
        thresholds: those of the run.
        wanted: a number in [0, 1], or the name of a `ThresholdRule`.
        run: what the run is called in messages.

    Raises:
        InvalidValue: for a number out of range.
        UnknownName: for a name that is none of a rule.
        NoThreshold: if the run has no such threshold.
    """
    try:
        value = float(wanted)
    except ValueError:
        pass
    else:
        if not 0 <= value <= 1:
            raise InvalidValue(f"a threshold must be a probability from 0 to 1, got {wanted}")
        return f"{value:g}", value
    names = [rule.value for rule in ThresholdRule]
    if wanted not in names:
        raise UnknownName("threshold", str(wanted), ["a number from 0 to 1", *names])
    if thresholds is None:
        raise NoThreshold(
            f"{run} has no threshold {wanted}: it was trained without validation images, or by an older version; "
            "give a number from 0 to 1"
        )
    chosen = thresholds.values.get(ThresholdRule(wanted))
    if chosen is None:
        raise NoThreshold(
            f"{run} has no threshold {wanted}: its validation images are all real or all fake; give a number, 0 to 1"
        )
    return str(wanted), chosen
