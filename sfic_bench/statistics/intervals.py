"""Medians with intervals. Means are not used, since distributions of times are skewed and have outliers.

Intervals are percentile bootstraps (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, Chapter 13). Their
seed is fixed, so that the same samples always give the same interval.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from sfic_bench.statistics.interval import Interval

RESAMPLES = 2000
CONFIDENCE = 0.95


def median_of(samples: Sequence[float]) -> Interval:
    """The median of ``samples`` with its bootstrap interval.

    Raises:
        ValueError: if there is no sample, or a sample is not a finite number above 0.
    """
    values = _checked(samples)
    chosen = np.random.default_rng(0).integers(values.size, size=(RESAMPLES, values.size))
    medians = np.median(values[chosen], axis=1)
    low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(estimate=float(np.median(values)), low=float(low), high=float(high))


def _checked(samples: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(samples, dtype=float)
    if not values.size or not np.isfinite(values).all() or values.min() <= 0:
        raise ValueError(f"expected finite samples above 0, at least one, got {list(samples)[:5]}")
    return values


def relative_width(values: NDArray[np.float64]) -> float:
    """Width of a distribution-free 95% interval of the median of ``values``, over that median.

    The interval lies between two order statistics, whose ranks follow from the binomial distribution (Hahn & Meeker,
    "Statistical Intervals", 1991, Section 5.2); for fewer than six values it is their whole range. A stopping rule
    needs it while a device waits, and it takes microseconds where the bootstrap takes milliseconds.
    """
    ordered = np.sort(values)
    n = len(ordered)
    below, median = _rank_below(n), (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return float((ordered[-1 - below] - ordered[below]) / median)


@cache
def _rank_below(n: int) -> int:
    """The order statistics of ``n`` to leave out on each side so that the rest spans the median in 95% of cases."""
    tail, rank = Fraction(0), 0
    while (tail := tail + Fraction(comb(n, rank), 2**n)) <= Fraction(25, 1000):
        rank += 1
    return max(0, rank - 1)


def paired_ratio(samples: Sequence[float], baseline: Sequence[float]) -> Interval:
    """The median of ``samples[i] / baseline[i]``.

    Each pair comes from the same round, so that a temporary disturbance of the machine affects both and cancels out.

    Raises:
        ValueError: if the two have different lengths, or a sample is not a finite number above 0.
    """
    if len(samples) != len(baseline):
        raise ValueError(f"pairs need as many samples on both sides, got {len(samples)} and {len(baseline)}")
    return median_of((_checked(samples) / _checked(baseline)).tolist())
