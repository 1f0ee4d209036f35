"""Percentiles of a distribution, with what a limited number of samples can tell of them.

Bounds are order statistics, whose ranks follow from the binomial distribution alone, whatever the distribution is (Hahn
& Meeker, "Statistical Intervals", 1991, Section 5.2). Far out they do not exist: the largest of n samples lies below
the 99th percentile with a chance of 0.99ⁿ, so that below 368 samples no sample bounds it from above.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, exp, lgamma, log

from sfic_bench.statistics.interval import Interval

TAIL = 0.025
"""The chance that a bound is wrong, on each side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Percentile:
    """What samples tell of a percentile: the nearest-rank estimate, and bounds where samples bound it."""

    estimate: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> Interval | None:
        """The percentile with its 95% interval; ``None`` unless both bounds exist."""
        if self.low is None or self.high is None:
            return None
        return Interval(estimate=self.estimate, low=self.low, high=self.high)


def percentile(samples: Sequence[float], percent: int) -> Percentile:
    """The value that ``percent`` (1 to 99) of the values behind ``samples`` do not exceed.

    Raises:
        ValueError: without samples.
    """
    if not samples:
        raise ValueError("a percentile needs samples, got none")
    ordered, n = sorted(samples), len(samples)
    below, above = _ranks(n, percent)
    return Percentile(
        estimate=ordered[ceil(percent * n / 100) - 1],
        low=ordered[below - 1] if below else None,
        high=ordered[above - 1] if above <= n else None,
    )


def least_samples(percent: int) -> int:
    """The number of samples from which on one of them bounds the percentile from above: 36 for 90, 368 for 99."""
    return ceil(log(TAIL) / log(percent / 100))


@cache
def _ranks(n: int, percent: int) -> tuple[int, int]:
    """The ranks, from 1, of the samples that bound a percentile from below and above; 0 and n + 1 where none does."""
    share = percent / 100
    chances = [  # that so many of the samples lie under the percentile
        exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(share) + (n - k) * log(1 - share))
        for k in range(n + 1)
    ]
    below, above = 0, n + 1
    tail = chances[0]
    while tail <= TAIL:
        below += 1
        tail += chances[below]
    tail = chances[n]
    while tail <= TAIL:
        above -= 1
        tail += chances[above - 1]
    return below, above
