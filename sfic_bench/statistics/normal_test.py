"""The factor by which two estimates differ that have only an interval: a normal test of the logarithm of their ratio.

A bootstrap interval of 95% is 2·1.96 standard errors wide where the estimate is nearly normal. The standard error of
the ratio's logarithm follows by the delta method (Casella & Berger, "Statistical Inference", 2nd ed. 2002, Section
5.5.4). Both estimates count as independent: of scores on the same images the ratio is known better than that.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from sfic_bench.statistics.interval import Interval
from sfic_bench.statistics.rank_test import POWER, Floats, Shifts, factor_to_settle

_normal = NormalDist()

WIDTH = 2 * _normal.inv_cdf(0.975)
"""The width of a 95% interval in standard errors."""


def shifts_of_intervals(
    base: Sequence[Interval], head: Sequence[Interval], margin: float = 0.0, confidence: float = 0.95
) -> Shifts:
    """Compare ``head[i]`` with ``base[i]`` for each row i, as `sfic_bench.statistics.rank_test.shifts` does samples.

    Args:
        base: estimates above 0 with bounds.
        head: the same of the head.
        margin: ratios that count as equal; 0.02 means from 1/1.02 to 1.02.
        confidence: of the intervals of ratios.
    """
    log_ratio = np.log([h.estimate / b.estimate for b, h in zip(base, head, strict=True)])
    error = np.array([math.hypot(_relative_error(b), _relative_error(h)) for b, h in zip(base, head, strict=True)])
    beyond, allowed = _normal.inv_cdf((1 + confidence) / 2), math.log1p(margin)

    def above(bound: float) -> Floats:
        """One-sided p-value of the hypothesis that the true log ratio is at most ``bound``."""
        return np.array([1 - _normal.cdf(z) for z in (log_ratio - bound) / error])

    p_above, p_below = above(allowed), 1 - above(-allowed)
    p_not_below, p_not_above = 1 - p_above, 1 - p_below
    return Shifts(
        ratio=np.exp(log_ratio),
        low=np.exp(log_ratio - beyond * error),
        high=np.exp(log_ratio + beyond * error),
        p_differs=np.minimum(1.0, 2 * np.minimum(p_above, p_below)),
        p_equivalent=np.maximum(p_not_below, p_not_above),
        smallest=np.exp(allowed + (beyond + _normal.inv_cdf(POWER)) * error),
        factor=factor_to_settle(log_ratio, error, margin, confidence),
        effective=np.full(len(base), np.nan),
    )


def _relative_error(interval: Interval) -> float:
    """The standard error of an estimate, over the estimate."""
    assert interval.low is not None and interval.high is not None
    return max(interval.high - interval.low, 1e-9) / WIDTH / interval.estimate
