"""What a limited number of samples tells of a percentile."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfic_bench.statistics.percentiles import TAIL, least_samples, percentile


def chance_below(n: int, percent: int, most: int) -> Fraction:
    """The chance that at most ``most`` of ``n`` samples lie under the percentile, exactly."""
    share = Fraction(percent, 100)
    chances = (comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(most + 1))
    return sum(chances, Fraction(0))


@given(st.integers(1, 400), st.sampled_from([50, 90, 99]))
@settings(max_examples=40)
def test_bounds_are_the_nearest_samples_that_are_wrong_seldom_enough(n: int, percent: int) -> None:
    ranks = list(range(1, n + 1))
    found = percentile(ranks, percent)
    # The sample of rank r lies above the percentile if fewer than r lie under it, and below it if at least r do.
    low = 0 if found.low is None else int(found.low)
    high = n + 1 if found.high is None else int(found.high)
    assert low == 0 or chance_below(n, percent, low - 1) <= TAIL
    assert low == n or chance_below(n, percent, low) > TAIL
    assert high == n + 1 or 1 - chance_below(n, percent, high - 1) <= TAIL
    assert high == 1 or 1 - chance_below(n, percent, high - 2) > TAIL
    assert (found.interval is not None) == (low > 0 and high <= n)


@pytest.mark.parametrize(("percent", "least"), [(90, 36), (99, 368)])
def test_the_least_number_of_samples_that_bounds_a_percentile(percent: int, least: int) -> None:
    assert least_samples(percent) == least  # 0.9³⁵ = .0250 > .025 ≥ 0.9³⁶; 0.99³⁶⁷ = .0250 > .025 ≥ 0.99³⁶⁸
    assert percentile([1.0] * (least - 1), percent).high is None
    assert percentile([1.0] * least, percent).interval is not None


def test_the_estimate_is_the_nearest_rank() -> None:
    assert [percentile([30.0, 10.0, 20.0, 40.0], p).estimate for p in (25, 50, 51, 99)] == [10.0, 20.0, 30.0, 40.0]
    assert percentile([7.0], 99).interval is None
    with pytest.raises(ValueError, match="needs samples"):
        percentile([], 90)


def test_intervals_hold_what_they_claim() -> None:
    rng = np.random.default_rng(0)
    truth = -np.log(0.1)  # the 90th percentile of the exponential distribution
    found = [percentile(rng.exponential(size=60).tolist(), 90).interval for _ in range(400)]
    share = sum(interval is not None and interval.contains(truth) for interval in found) / len(found)
    assert share > 0.92
