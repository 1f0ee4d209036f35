"""Medians and their intervals, for samples that are drawn with known properties."""

import numpy as np
import pytest

from sfic_bench.statistics.interval import Interval
from sfic_bench.statistics.intervals import median_of, paired_ratio, relative_width


def width(interval: Interval) -> float:
    """Width over estimate."""
    assert interval.low is not None and interval.high is not None
    return (interval.high - interval.low) / interval.estimate


def test_the_stopping_rules_interval_is_close_to_the_bootstraps() -> None:
    rng = np.random.default_rng(3)
    for n in (20, 50, 100):
        drawn = rng.lognormal(0, 0.1, (40, n))
        pairs = [(relative_width(x), width(median_of(x.tolist()))) for x in drawn]
        quick, slow = np.median(pairs, axis=0)
        assert 0.9 < quick / slow < 1.35
    assert relative_width(np.array([3.0, 1.0, 2.0])) == 1.0  # the whole range over the median


def test_drift_cancels_in_paired_ratios() -> None:
    rng = np.random.default_rng(0)
    drift = np.exp(np.cumsum(rng.normal(0, 0.2, 60)))  # the machine becomes several times slower
    a, b = drift * rng.lognormal(0, 0.01, 60), 1.1 * drift * rng.lognormal(0, 0.01, 60)
    ratio = paired_ratio(b.tolist(), a.tolist())
    assert ratio.contains(1.1) and width(ratio) < 0.02
    assert width(median_of(b.tolist())) > 0.2


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        estimate = median_of(rng.lognormal(0, 0.1, 30).tolist())
        covered += estimate.contains(1.0)
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [0.0], [-1.0]])
def test_impossible_samples_are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="finite samples above 0"):
        median_of(samples)


def test_paired_samples_must_have_equal_lengths() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_ratio([1.0, 2.0], [1.0])
