"""By what factor two sets of samples differ: a rank test, its interval, and control over a whole grid.

Everything is read off the n·m ratios of a head's and a base's samples. The estimate is their median
(Hodges & Lehmann 1963), the interval lies between two of them (Moses; Hollander, Wolfe & Chicken,
"Nonparametric Statistical Methods", 3rd ed. 2014, Section 4.3), and the share of ratios above a bound
is the Mann–Whitney statistic for that bound. So the interval and the p-values are one test, which an outlier
moves by one rank. docs/comparing.md has the assumptions. scipy.stats has the same test, to which
`tests/test_shift.py` holds this one; it has no such interval, and importing it takes longer than a whole comparison.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_quantile = NormalDist().inv_cdf

POWER = 0.8
"""With which probability `Shifts.smallest` would have been found."""

THINNED = 512
"""More samples than these are replaced by as many of their evenly spaced order statistics."""

CORRELATED = _quantile(0.95)
"""How many standard errors a correlation in time must have, 1/√samples each."""

AT_ONCE = 4_000_000
"""Ratios held in memory at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shifts:
    """One element a row, each over base.

    Attributes:
        ratio: median of all ratios; above 1 the head takes more.
        low, high: interval at the confidence asked for; 0 and infinity where there are too few samples.
        p_differs: that a ratio so far outside the margin comes about when the true one is not outside.
        p_equivalent: that one so far inside comes about when the true one is not inside.
        smallest: the least true ratio above 1 + margin that would have been called so with probability `POWER`.
        effective: samples of both sides together after allowing for their correlation in time.
    """

    ratio: Floats
    low: Floats
    high: Floats
    p_differs: Floats
    p_equivalent: Floats
    smallest: Floats
    effective: Floats


def shifts(
    base: Sequence[Floats], head: Sequence[Floats], margin: float = 0.0, confidence: float = 0.95
) -> Shifts:
    """Compare ``head[i]`` with ``base[i]``, samples above 0 in the order in which they were taken.

    A margin of 0.02 is symmetric in ratios: from 1/1.02 to 1.02.
    """
    found = {f.name: np.empty(len(base)) for f in fields(Shifts)}
    lengths: dict[tuple[int, int], list[int]] = {}
    for i, (b, h) in enumerate(zip(base, head, strict=True)):
        lengths.setdefault((b.size, h.size), []).append(i)
    for (n, m), rows in lengths.items():
        for some in _portions(rows, min(n, THINNED) * min(m, THINNED)):
            part = _same_length(
                np.stack([base[i] for i in some]), np.stack([head[i] for i in some]), margin, confidence
            )
            for f in fields(Shifts):
                found[f.name][some] = getattr(part, f.name)
    return Shifts(**found)


def _portions(rows: list[int], size: int) -> Iterator[list[int]]:
    step = max(1, AT_ONCE // size)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _same_length(base: Floats, head: Floats, margin: float, confidence: float) -> Shifts:
    n, m = _effective(base, head)
    # Of the share of ratios above the true one; without ties, and with n·m pairs of n + m values.
    deviation = np.sqrt((n + m + 1) / (12 * n * m))
    continuity = 0.5 / (n * m)
    ratios = _pairs(_thin(base), _thin(head))
    count = ratios.shape[1]
    beyond = _quantile((1 + confidence) / 2)
    reach = beyond * deviation + continuity
    rank = np.floor((0.5 - reach) * count).astype(int)  # how many ratios lie below the interval
    rows = np.arange(len(ratios))
    known = rank >= 0
    low = np.where(known, ratios[rows, np.maximum(rank, 0)], 0.0)
    high = np.where(known, ratios[rows, count - 1 - np.maximum(rank, 0)], np.inf)

    def p_above(bound: float) -> Floats:
        """One-sided: that the true ratio is ``bound`` or less."""
        above = (ratios > bound).mean(axis=1) + 0.5 * (ratios == bound).mean(axis=1)
        return _exceeded((above - 0.5 - continuity) / deviation)

    def p_below(bound: float) -> Floats:
        below = (ratios < bound).mean(axis=1) + 0.5 * (ratios == bound).mean(axis=1)
        return _exceeded((below - 0.5 - continuity) / deviation)

    upper, lower = 1 + margin, 1 / (1 + margin)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(known, (np.log(high) - np.log(low)) / (2 * beyond), np.inf)
    return Shifts(
        ratio=np.median(ratios, axis=1),
        low=low,
        high=high,
        p_differs=np.minimum(1.0, 2 * np.minimum(p_above(upper), p_below(lower))),
        p_equivalent=np.maximum(p_below(upper), p_above(lower)),
        smallest=upper * np.exp((beyond + _quantile(POWER)) * spread),
        effective=n + m,
    )


def _exceeded(z: Floats) -> Floats:
    """How often a standard normal variable lies above ``z``."""
    return np.array([0.5 * math.erfc(x / math.sqrt(2)) for x in z])


def _effective(base: Floats, head: Floats) -> tuple[Floats, Floats]:
    """How many independent samples tell as much: n(1 − r)/(1 + r), r their correlation with the next one.

    What slows a machine lasts longer than a round, so that neighbours resemble each other (Wilks,
    "Statistical Methods in the Atmospheric Sciences", 2nd ed. 2006, Section 5.2.4). Of ranks, and of both
    sides together; where independent samples would often show as much, they are taken for independent.
    """
    with_next, with_itself = np.zeros(len(base)), np.zeros(len(base))
    for samples in (base, head):
        ranks = samples.argsort(axis=1).argsort(axis=1) - (samples.shape[1] - 1) / 2
        with_next += (ranks[:, 1:] * ranks[:, :-1]).sum(axis=1)
        with_itself += (ranks**2).sum(axis=1)
    n, m = base.shape[1], head.shape[1]
    r = with_next / np.maximum(with_itself, 1)
    r = np.where(r > CORRELATED / np.sqrt(n + m), r, 0)
    # A run of n samples holds at least two that tell something.
    share = np.maximum((1 - r) / (1 + r), min(1, 2 / min(n, m)))
    return n * share, m * share


def _thin(samples: Floats) -> Floats:
    ordered = np.sort(samples, axis=1)
    n = ordered.shape[1]
    if n <= THINNED:
        return ordered
    return ordered[:, ((np.arange(THINNED) + 0.5) * n / THINNED).astype(int)]


def _pairs(base: Floats, head: Floats) -> Floats:
    """All ratios, sorted."""
    ratios = (head[:, :, None] / base[:, None, :]).reshape(len(base), -1)
    ratios.sort(axis=1)
    return ratios


def adjusted(p: Floats) -> Floats:
    """p-values after Benjamini & Hochberg (1995): rejecting those below q keeps false discoveries below q."""
    if not p.size:
        return p
    order = np.argsort(p)
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    result = np.empty_like(p)
    result[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return result
