"""The factor by which two sets of samples differ: a rank test, its interval, and control of false discoveries.

Everything follows from the n·m ratios of a head's and a base's samples. The estimate is their median (Hodges & Lehmann
1963), the interval lies between two of them (Moses; Hollander, Wolfe & Chicken, "Nonparametric Statistical Methods",
3rd ed. 2014, Section 4.3), and the share of ratios above a bound is the Mann–Whitney statistic for that bound. So the
interval and the p-values belong to one test, and an outlier moves it by one rank at most. docs/comparing.md states the
assumptions. scipy.stats has the same test, and `tests/test_rank_test.py` compares the two; but scipy has no such
interval, and its import takes longer than a comparison.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_quantile = NormalDist().inv_cdf

POWER = 0.8
"""The probability with which the test finds a difference as large as `Shifts.smallest`."""

THINNED = 512
"""The most samples of a row that are compared; of more, as many as this are taken at even steps in order of size."""

CORRELATED = _quantile(0.95)
"""A correlation in time is taken into account if it exceeds this many standard errors, each of 1/√samples."""

AT_ONCE = 4_000_000
"""The most ratios that are in memory at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shifts:
    """Results of comparing many rows, with one element for each row; ratios are of head to base.

    Attributes:
        ratio: median of all ratios; above 1 if the head takes longer.
        low, high: bounds of its interval; 0 and infinity if there are too few samples.
        p_differs: p-value of the hypothesis that the true ratio lies within the margin.
        p_equivalent: p-value of the hypothesis that the true ratio lies outside the margin.
        smallest: the least true ratio above 1 + margin that the test finds with probability `POWER`.
        factor: see `factor_to_settle`.
        effective: number of independent samples that hold as much information as those of both sides together.
    """

    ratio: Floats
    low: Floats
    high: Floats
    p_differs: Floats
    p_equivalent: Floats
    smallest: Floats
    factor: Floats
    effective: Floats


def shifts(base: Sequence[Floats], head: Sequence[Floats], margin: float = 0.0, confidence: float = 0.95) -> Shifts:
    """Compare ``head[i]`` with ``base[i]`` for each row i.

    Args:
        base: the base's samples of each row, above 0 and in the order in which they were taken.
        head: the head's samples of each row.
        margin: ratios that count as equal; 0.02 means from 1/1.02 to 1.02.
        confidence: of the intervals.
    """
    results = {f.name: np.empty(len(base)) for f in fields(Shifts)}
    of_length: dict[tuple[int, int], list[int]] = {}
    for i, (b, h) in enumerate(zip(base, head, strict=True)):
        of_length.setdefault((b.size, h.size), []).append(i)
    for (n, m), rows in of_length.items():
        step = max(1, AT_ONCE // (min(n, THINNED) * min(m, THINNED)))
        for start in range(0, len(rows), step):
            portion = rows[start : start + step]
            bases, heads = np.stack([base[i] for i in portion]), np.stack([head[i] for i in portion])
            part = _same_length(bases, heads, margin, confidence)
            for f in fields(Shifts):
                results[f.name][portion] = getattr(part, f.name)
    return Shifts(**results)


def _same_length(base: Floats, head: Floats, margin: float, confidence: float) -> Shifts:
    """Compare rows that have equally many samples: ``base`` ``[rows, n]`` with ``head`` ``[rows, m]``."""
    n, m = _effective(base, head)
    # The standard deviation of the share of ratios above the true one, for n·m pairs of n + m values without ties.
    deviation = np.sqrt((n + m + 1) / (12 * n * m))
    continuity = 0.5 / (n * m)
    # All ratios of a head's sample to a base's, sorted: [rows, count].
    ratios = (_thin(head)[:, :, None] / _thin(base)[:, None, :]).reshape(len(base), -1)
    ratios.sort(axis=1)
    count = ratios.shape[1]
    beyond = _quantile((1 + confidence) / 2)
    reach = beyond * deviation + continuity
    rank = np.floor((0.5 - reach) * count).astype(int)  # how many ratios lie below the interval
    rows = np.arange(len(ratios))
    known = rank >= 0
    low = np.where(known, ratios[rows, np.maximum(rank, 0)], 0.0)
    high = np.where(known, ratios[rows, count - 1 - np.maximum(rank, 0)], np.inf)

    def p_above(bound: float) -> Floats:
        """One-sided p-value of the hypothesis that the true ratio is at most ``bound``."""
        return p_value((ratios > bound).mean(axis=1) + 0.5 * (ratios == bound).mean(axis=1))

    def p_below(bound: float) -> Floats:
        """One-sided p-value of the hypothesis that the true ratio is at least ``bound``."""
        return p_value((ratios < bound).mean(axis=1) + 0.5 * (ratios == bound).mean(axis=1))

    def p_value(share: Floats) -> Floats:
        """The probability that a standard normal variable lies above the standardised ``share`` of ratios."""
        return np.array([0.5 * math.erfc(z / math.sqrt(2)) for z in (share - 0.5 - continuity) / deviation])

    upper, lower = 1 + margin, 1 / (1 + margin)
    median = (ratios[:, (count - 1) // 2] + ratios[:, count // 2]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(known, (np.log(high) - np.log(low)) / (2 * beyond), np.inf)
    return Shifts(
        ratio=median,
        low=low,
        high=high,
        p_differs=np.minimum(1.0, 2 * np.minimum(p_above(upper), p_below(lower))),
        p_equivalent=np.maximum(p_below(upper), p_above(lower)),
        smallest=upper * np.exp((beyond + _quantile(POWER)) * spread),
        factor=factor_to_settle(np.log(median), spread, margin, confidence),
        effective=n + m,
    )


def factor_to_settle(log_ratio: Floats, error: Floats, margin: float, confidence: float) -> Floats:
    """How many times as many samples would tell each ratio from the margin with probability `POWER`.

    It holds if the ratio stays as it is. It grows without bound for a ratio that lies at the margin.

    Args:
        log_ratio: the logarithm of each ratio.
        error: its standard error, which falls with the square root of the number of samples.
        margin: ratios that count as equal, as in `shifts`.
        confidence: of the intervals.
    """
    distance = np.maximum(np.abs(np.abs(log_ratio) - math.log1p(margin)), 1e-9)
    factor: Floats = ((_quantile((1 + confidence) / 2) + _quantile(POWER)) * error / distance) ** 2
    return factor


def least_samples(confidence: float) -> int:
    """The least number of samples on each side for which there is an interval."""
    beyond, n = _quantile((1 + confidence) / 2), 2
    while beyond * math.sqrt((2 * n + 1) / (12 * n * n)) + 0.5 / n**2 >= 0.5:
        n += 1
    return n


def _effective(base: Floats, head: Floats) -> tuple[Floats, Floats]:
    """The number of independent samples that hold as much information as those of base and of head.

    It is n(1 − r)/(1 + r), where r is the correlation of a sample with the next one (Wilks, "Statistical Methods in
    the Atmospheric Sciences", 2nd ed. 2006, Section 5.2.4): neighbours resemble each other, since a disturbance of a
    machine lasts longer than a round. r is computed from the ranks of both sides together. It is set to 0 if
    independent samples would often show as large a correlation.
    """
    with_next, with_itself = np.zeros(len(base)), np.zeros(len(base))
    for samples in (base, head):
        ranks = samples.argsort(axis=1).argsort(axis=1) - (samples.shape[1] - 1) / 2
        with_next += (ranks[:, 1:] * ranks[:, :-1]).sum(axis=1)
        with_itself += (ranks**2).sum(axis=1)
    n, m = base.shape[1], head.shape[1]
    r = with_next / np.maximum(with_itself, 1)
    r = np.where(r > CORRELATED / np.sqrt(n + m), r, 0)
    # A run of n samples holds at least as much information as two independent ones.
    share = np.maximum((1 - r) / (1 + r), min(1, 2 / min(n, m)))
    return n * share, m * share


def _thin(samples: Floats) -> Floats:
    """The samples of each row, sorted; at most `THINNED` of them, evenly spaced."""
    ordered = np.sort(samples, axis=1)
    n = ordered.shape[1]
    if n <= THINNED:
        return ordered
    return ordered[:, ((np.arange(THINNED) + 0.5) * n / THINNED).astype(int)]


def adjusted(p: Floats) -> Floats:
    """p-values adjusted after Benjamini & Hochberg (1995).

    If hypotheses with an adjusted p-value below q are rejected, the expected share of wrong rejections is at most q.
    """
    if not p.size:
        return p
    order = np.argsort(p)
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    result = np.empty_like(p)
    result[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return result
