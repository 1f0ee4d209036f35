import numpy as np
import pytest
from helpers.samples import Floats, drifting, skewed
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from sfic_bench.statistics.rank_test import THINNED, adjusted, shifts

ROWS, SAMPLES = 91, 30  # the rows of the paper's grid

Flags = NDArray[np.bool_]


def verdicts(base: Floats, head: Floats, margin: float) -> tuple[Flags, Flags]:
    """Which rows differ, and which are equivalent."""
    result = shifts(list(base), list(head), margin)
    return adjusted(result.p_differs) <= 0.05, adjusted(result.p_equivalent) <= 0.025


@pytest.mark.parametrize("margin", [0.0, 0.02])
@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
def test_identical_code_hardly_ever_differs(noise: float, margin: float) -> None:
    rng = np.random.default_rng(1)
    alarms = sum(
        verdicts(skewed(rng, ROWS, SAMPLES, noise), skewed(rng, ROWS, SAMPLES, noise), margin)[0].any()
        for _ in range(500)
    )
    assert alarms <= 0.05 * 500


def test_a_real_slow_down_is_detected() -> None:
    rng = np.random.default_rng(2)
    base, head = rng.normal(1, 0.02, (2, 2000, SAMPLES))
    result = shifts(list(base), list(1.05 * head), 0.02)
    assert (result.p_differs <= 0.05).mean() >= 0.95
    # One row of 91 changed, so a discovery must be 91 times as significant.
    hits = 0
    for _ in range(400):
        base, head = rng.normal(1, 0.02, (2, ROWS, SAMPLES))
        head[0] *= 1.05
        hits += verdicts(base, head, 0.02)[0][0]
    assert hits >= 0.9 * 400


def test_a_change_within_the_margin_is_no_difference() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        base, head = rng.normal(1, 0.02, (2, ROWS, SAMPLES))
        assert not verdicts(base, 1.005 * head, 0.02)[0].any()


def test_quiet_rows_are_equivalent() -> None:
    rng = np.random.default_rng(4)
    differs, equivalent = verdicts(skewed(rng, ROWS, SAMPLES, 0.01), skewed(rng, ROWS, SAMPLES, 0.01), margin=0.02)
    assert not differs.any() and equivalent.mean() > 0.95


@pytest.mark.parametrize("correlation", [0.3, 0.6])
def test_a_drifting_machine_does_not_make_differences(correlation: float) -> None:
    """Real samples have correlations of about 0.6; treated as independent, they would make most comparisons alarms."""
    rng = np.random.default_rng(5)
    alarms, inside = 0, []
    for _ in range(100):
        base, head = (drifting(rng, ROWS, 60, correlation, 0.08) for _ in range(2))
        alarms += bool(verdicts(base, head, 0.02)[0].any())
        result = shifts(list(base), list(head))
        inside.append(((result.low <= 1) & (result.high >= 1)).mean())
    assert alarms <= 0.05 * 100
    assert np.mean(inside) >= 0.92


@given(n=st.integers(3, 40), m=st.integers(3, 40), seed=st.integers(0, 2**32 - 1), bound=st.floats(0.9, 1.1))
def test_p_values_are_scipys(n: int, m: int, seed: int, bound: float) -> None:
    rng = np.random.default_rng(seed)
    base, head = rng.lognormal(0, 0.05, n), rng.lognormal(0.02, 0.05, m)
    result = shifts([base], [head], margin=0.0)
    if result.effective[0] != n + m:  # this draw looks correlated in time, of which scipy knows nothing
        return
    greater, less = (
        stats.mannwhitneyu(head, base, alternative=side, method="asymptotic").pvalue for side in ("greater", "less")
    )
    assert result.p_differs[0] == pytest.approx(min(1, 2 * min(greater, less)), abs=1e-12)
    # A margin moves the bound.
    beyond = stats.mannwhitneyu(head / bound, base, alternative="greater", method="asymptotic").pvalue
    margin = bound - 1
    if margin >= 0:
        below = stats.mannwhitneyu(head * bound, base, alternative="less", method="asymptotic").pvalue
        assert shifts([base], [head], margin).p_differs[0] == pytest.approx(min(1, 2 * min(beyond, below)), abs=1e-9)


@given(n=st.integers(5, 40), m=st.integers(5, 40), seed=st.integers(0, 2**32 - 1))
def test_the_interval_holds_what_the_test_does_not_reject(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, head = rng.lognormal(0, 0.05, n), rng.lognormal(0.02, 0.05, m)
    result = shifts([base], [head])
    low, ratio, high = result.low[0], result.ratio[0], result.high[0]
    assert low <= ratio <= high

    def p(bound: float) -> float:
        return float(shifts([base * bound], [head]).p_differs[0])

    if low > 0:
        assert p(low * (1 - 1e-9)) <= 0.05 + 1e-9 and p(high * (1 + 1e-9)) <= 0.05 + 1e-9
        assert p(ratio) > 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_adjusted_is_scipys(p: list[float]) -> None:
    assert adjusted(np.array(p)) == pytest.approx(stats.false_discovery_control(p), abs=1e-12)


def test_too_few_samples_have_no_interval() -> None:
    result = shifts([np.array([1.0])], [np.array([2.0])])
    assert result.low[0] == 0 and result.high[0] == np.inf and not np.isfinite(result.smallest[0])
    assert result.p_differs[0] > 0.05


def test_rows_of_any_lengths_keep_their_places() -> None:
    rng = np.random.default_rng(6)
    base = [rng.lognormal(i, 0.01, n) for i, n in enumerate((5, 9, 5, 40))]
    head = [rng.lognormal(i + 0.1 * i, 0.01, n) for i, n in enumerate((7, 7, 7, 30))]
    assert shifts(base, head).ratio == pytest.approx(np.exp(0.1 * np.arange(4)), rel=0.02)


def test_many_samples_are_thinned_and_still_precise() -> None:
    rng = np.random.default_rng(7)
    base, head = rng.lognormal(0, 0.05, 20_000), rng.lognormal(0.002, 0.05, 20_000)
    result = shifts([base], [head])
    assert len(base) > THINNED
    assert result.ratio[0] == pytest.approx(np.exp(0.002), abs=0.001)
    assert result.high[0] / result.low[0] < 1.005
