"""Sampling under a clock that the tests wind, and execution on the CPU."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from sfic_bench.measure import MAKERS, CpuClock, Stop, Unavailable, sample
from sfic_bench.measure.memory import held, peak_of
from sfic_bench.report.statistics import median_of, paired_ratio


class FakeClock:
    """Every contender takes what it says, and that much time passes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.order: list[str] = []

    def now_s(self) -> float:
        return self.seconds

    def time_ms(self, run: Callable[[], object]) -> float:
        name, ms = run()  # type: ignore[misc]  # the fake's contenders say who they are
        self.order.append(name)
        self.seconds += ms / 1e3
        return ms


def takes(name: str, *times: float) -> Callable[[], object]:
    """A contender that takes ``times`` in turn, then the last of them for ever."""
    left = list(times)
    return lambda: (name, left.pop(0) if len(left) > 1 else left[0])


def never(_: Mapping[str, Sequence[float]]) -> float:
    return float("inf")


def test_rounds_alternate_in_order() -> None:
    clock = FakeClock()
    sampled = sample({"a": takes("a", 1.0), "b": takes("b", 2.0)}, clock, Stop(max_rounds=4), never)
    assert "".join(clock.order) == "ababab" + "abbaabba"  # three warm-up rounds first
    assert sampled.samples == {"a": [1.0] * 4, "b": [2.0] * 4}
    assert (sampled.warmup_rounds, sampled.stopped_by) == (3, "rounds")


def test_warm_up_lasts_until_times_have_settled() -> None:
    slow_start = takes("a", 100.0, 50.0, 20.0, 10.0, 10.0, 10.1)
    sampled = sample({"a": slow_start}, FakeClock(), Stop(max_rounds=5, max_seconds=100), never)
    assert sampled.warmup_rounds == 6  # the first with 10.0, 10.0, 10.1 as the last three
    assert set(sampled.samples["a"]) == {10.1}


def test_warm_up_has_a_limit() -> None:
    restless = takes("a", *(1000.0 * (1 + i % 2) for i in range(1000)))
    sampled = sample({"a": restless}, FakeClock(), Stop(max_seconds=40, max_rounds=3), never)
    assert sampled.warmup_rounds <= 10 / 1 and sampled.stopped_by == "rounds"


@pytest.mark.parametrize(
    ("stop", "widths", "expected"),
    [
        (Stop(max_seconds=1.0, max_rounds=10_000), never, "time"),
        (Stop(max_rounds=12), never, "rounds"),
        (Stop(min_rounds=10, relative_width=0.02), lambda _: 0.01, "interval"),
    ],
)
def test_what_stopped_it_is_told(stop: Stop, widths, expected: str) -> None:
    sampled = sample({"a": takes("a", 10.0)}, FakeClock(), stop, widths)
    assert sampled.stopped_by == expected
    if expected == "interval":
        assert len(sampled.samples["a"]) == 10


def test_ctrl_c_keeps_whole_rounds() -> None:
    calls = 0

    def interrupted() -> object:
        nonlocal calls
        calls += 1
        if calls > 8:
            raise KeyboardInterrupt
        return "b", 1.0

    sampled = sample({"a": takes("a", 1.0), "b": interrupted}, FakeClock(), Stop(), never)
    assert sampled.stopped_by == "interrupt"
    assert len(sampled.samples["a"]) == len(sampled.samples["b"]) == 5


def test_drift_cancels_in_paired_ratios() -> None:
    rng = np.random.default_rng(0)
    drift = np.exp(np.cumsum(rng.normal(0, 0.2, 60)))  # the machine becomes several times slower
    a, b = drift * rng.lognormal(0, 0.01, 60), 1.1 * drift * rng.lognormal(0, 0.01, 60)
    ratio = paired_ratio(b.tolist(), a.tolist())
    assert ratio.low < 1.1 < ratio.high and ratio.relative_width < 0.02
    assert median_of(b.tolist()).relative_width > 0.2


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        estimate = median_of(rng.lognormal(0, 0.1, 30).tolist())
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [0.0], [-1.0]])
def test_impossible_samples_are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="finite samples above 0"):
        median_of(samples)


def test_pairs_must_pair() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_ratio([1.0, 2.0], [1.0])


def test_cpu_clock_measures_time() -> None:
    clock = CpuClock()
    assert 0 <= clock.time_ms(lambda: None) < 1e3
    assert clock.now_s() <= clock.now_s()


def test_eager_runs_and_trains() -> None:
    model, x = nn.Linear(3, 2), torch.randn(4, 3)
    ready = MAKERS["eager"](model, x, False)
    assert torch.equal(ready.run(), model(x)) and not ready.run().requires_grad
    MAKERS["eager"](model, x, True).run()
    assert model.weight.grad is not None


def test_compiled_runs_and_tells_its_set_up() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), torch.randn(1, 3, 8, 8)
    ready = MAKERS["compiled"](model, x, False)
    torch.testing.assert_close(ready.run(), model(x))
    assert ready.setup_s > 0


@pytest.mark.parametrize("maker", ["cuda-graph", "compiled-reduce-overhead"])
def test_what_a_cpu_lacks_says_so(maker: str) -> None:
    with pytest.raises(Unavailable, match="CUDA"):
        MAKERS[maker](nn.Linear(3, 2), torch.randn(4, 3), False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_graph_replays() -> None:
    model, x = nn.Conv2d(3, 4, 3).cuda().eval(), torch.randn(2, 3, 8, 8, device="cuda")
    torch.testing.assert_close(MAKERS["cuda-graph"](model, x, False).run(), model(x))


def test_memory_is_what_tensors_take() -> None:
    model = nn.Linear(100, 50)
    assert held(model) == 4 * (100 * 50 + 50)
    peak = peak_of(lambda: torch.empty(1000, 1000).add_(1).mul(2), torch.device("cpu"))["peak_allocated"]
    assert 8_000_000 <= peak < 8_100_000  # two float32 tensors of a million elements at once
