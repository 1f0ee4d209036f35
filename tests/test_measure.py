"""Sampling under a clock that the tests wind, and execution on the CPU."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from sfic_bench.measure import (
    MAKERS,
    Contender,
    CpuClock,
    Peak,
    Reading,
    Sampled,
    Stop,
    Unavailable,
    measure_peak,
    sample,
    tensors_of,
)
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.measure.memory import DEFINITIONS, held, peak_of
from sfic_bench.report.statistics import median_of, paired_ratio, relative_width


class FakeClock:
    """Every contender takes what it says, and that much time passes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.order: list[str] = []

    def now_s(self) -> float:
        return self.seconds

    def time_ms(
        self,
        run: Callable[[], object],
        before: Callable[[], object] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> float:
        if before is not None:
            before()
        name, ms = run()  # type: ignore[misc]  # the fake's contenders say who they are
        if meanwhile is not None:
            meanwhile()
        self.order.append(name)
        self.seconds += ms / 1e3
        return ms


def takes(name: str, *times: float) -> Contender:
    """A contender that takes ``times`` in turn, then the last of them for ever."""
    left = list(times)
    return Contender(run=lambda: (name, left.pop(0) if len(left) > 1 else left[0]))


def never(_: Mapping[str, Sequence[float]]) -> float:
    return float("inf")


def test_rounds_alternate_in_order() -> None:
    clock = FakeClock()
    sampled = sample({"a": takes("a", 1.0), "b": takes("b", 2.0)}, clock, Stop(max_rounds=4), never)
    assert "".join(clock.order) == "abbaab" + "abbaabba"  # three warm-up rounds first
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

    sampled = sample({"a": takes("a", 1.0), "b": Contender(run=interrupted)}, FakeClock(), Stop(), never)
    assert sampled.stopped_by == "interrupt"
    assert len(sampled.samples["a"]) == len(sampled.samples["b"]) == 5


def test_what_runs_before_is_not_timed() -> None:
    flushes: list[str] = []
    cold = Contender(run=lambda: ("a", 1.0), before=lambda: flushes.append("flushed"))
    sampled = sample({"cold": cold, "warm": takes("b", 2.0)}, FakeClock(), Stop(max_rounds=4), never)
    assert sampled.samples == {"cold": [1.0] * 4, "warm": [2.0] * 4}
    assert len(flushes) == 4 + sampled.warmup_rounds
    clock = CpuClock()
    assert clock.time_ms(lambda: None, before=lambda: sum(range(2_000_000))) < 5


def test_running_out_of_memory_drops_a_contender_and_not_the_run() -> None:
    calls = 0

    def greedy() -> object:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB\nmore words")
        return "greedy", 1.0

    contenders = {"a": takes("a", 1.0), "greedy": Contender(run=greedy)}
    sampled = sample(contenders, FakeClock(), Stop(max_rounds=6), never)
    assert sampled.samples == {"a": [1.0] * 6}
    assert sampled.dropped == {"greedy": "out of memory: CUDA out of memory. Tried to allocate 1 TiB"}


def test_what_a_device_refuses_drops_a_contender_and_a_defect_of_ours_is_not_hidden() -> None:
    def refused() -> object:
        raise RuntimeError("GET was unable to find an engine to execute this computation")

    contenders = {"a": takes("a", 1.0), "refused": Contender(run=refused)}
    sampled = sample(contenders, FakeClock(), Stop(max_rounds=6), never)
    assert sampled.samples == {"a": [1.0] * 6}
    assert sampled.dropped["refused"].startswith("RuntimeError: GET was unable to find an engine")

    def broken() -> object:
        raise TypeError("an argument is missing")

    with pytest.raises(TypeError, match="an argument is missing"):
        sample({"a": Contender(run=broken)}, FakeClock(), Stop(), never)


def test_nobody_to_time() -> None:
    assert sample({}, FakeClock(), Stop(), never) == Sampled(
        samples={}, warmup_rounds=0, stopped_by="nothing to time"
    )


def test_each_sample_has_its_reading() -> None:
    clocks = iter(range(1000, 3000))
    sampled = sample(
        {"a": takes("a", 1.0), "b": takes("b", 1.0)},
        FakeClock(),
        Stop(max_rounds=4),
        never,
        lambda: Reading(sm_clock_mhz=next(clocks), throttled=("power cap",)),
    )
    assert [len(r) for r in sampled.readings.values()] == [4, 4]
    read = sorted(r.sm_clock_mhz for rs in sampled.readings.values() for r in rs)
    assert read == list(range(1006, 1014))  # warm-up's six are forgotten
    assert sampled.readings["a"][0].throttled == ("power cap",)


def test_lack_of_memory_is_told_from_other_errors() -> None:
    on_cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …")
    assert "out of memory" in (out_of_memory(on_cpu) or "")
    assert out_of_memory(MemoryError()) == "out of memory: MemoryError"
    assert out_of_memory(RuntimeError("expected scalar type Half")) is None


def test_the_floor_is_the_larger_of_two_times_for_each_operation() -> None:
    peak = Peak(macs_per_s=1e9, bytes_per_s=1e8)
    # 2 ms of arithmetic against 1 ms of memory, then 1 ms against 3 ms.
    assert peak.floor_ms([(2_000_000, 100_000), (1_000_000, 300_000)]) == pytest.approx(5.0)


def test_the_peak_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfic_bench.measure.roofline.MATRIX", {"cpu": 256})
    monkeypatch.setattr("sfic_bench.measure.roofline.COPIED_BYTES", {"cpu": 2**22})
    peak = measure_peak(torch.device("cpu"), torch.float32, CpuClock())
    assert 1e8 < peak.macs_per_s < 1e14 and 1e7 < peak.bytes_per_s < 1e14


def test_the_stopping_rules_interval_is_about_the_bootstraps() -> None:
    rng = np.random.default_rng(3)
    for n in (20, 50, 100):
        drawn = rng.lognormal(0, 0.1, (40, n))
        pairs = [(relative_width(x), median_of(x.tolist()).relative_width) for x in drawn]
        quick, slow = np.median(pairs, axis=0)
        assert 0.9 < quick / slow < 1.35
    assert relative_width(np.array([3.0, 1.0, 2.0])) == 1.0  # the whole range over the median


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
    ready = MAKERS["eager"](model, (x,), False)
    assert torch.equal(ready.run(), model(x)) and not ready.run().requires_grad
    MAKERS["eager"](model, (x,), True).run()
    assert model.weight.grad is not None


def test_compiled_runs_and_tells_its_set_up() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), torch.randn(1, 3, 8, 8)
    ready = MAKERS["compiled"](model, (x,), False)
    torch.testing.assert_close(ready.run(), model(x))
    assert ready.setup_s > 0


@pytest.mark.parametrize("maker", ["cuda-graph", "compiled-reduce-overhead"])
def test_what_a_cpu_lacks_says_so(maker: str) -> None:
    with pytest.raises(Unavailable, match="CUDA"):
        MAKERS[maker](nn.Linear(3, 2), (torch.randn(4, 3),), False)


def test_a_compiler_that_fails_makes_the_path_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise NotImplementedError("no code for this")

    model = nn.Linear(3, 2)
    monkeypatch.setattr(torch, "compile", lambda model, **_: fail)
    with pytest.raises(Unavailable, match=r"torch\.compile failed: NotImplementedError: no code for this"):
        MAKERS["compiled"](model, (torch.randn(4, 3),), False)


def test_several_inputs_and_results() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(2.0))

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.weight * a, b[:, :0]

    a, b = torch.ones(1, 3, requires_grad=True), torch.ones(1, 3)
    results = MAKERS["eager"](Two(), (a, b), True).run()
    assert [t.tolist() for t in tensors_of(results)] == [[[2.0, 2.0, 2.0]]]  # what is empty is left out
    assert a.grad is not None and a.grad[0, 0] == pytest.approx(2 * 2 * 2 / 3)  # of the mean of (2a)²


def test_memory_is_what_tensors_take() -> None:
    model = nn.Linear(100, 50)
    assert held(model) == 4 * (100 * 50 + 50)
    peaks = peak_of(lambda: torch.empty(1000, 1000).add_(1).mul(2), torch.device("cpu"))
    assert (
        8_000_000 <= peaks["peak_allocated"] < 8_100_000
    )  # two float32 tensors of a million elements at once
    assert set(peaks) <= set(DEFINITIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak")
def test_the_processs_peak_is_of_this_call() -> None:
    code = """
import torch
from sfic_bench.measure.memory import peak_of
cpu = torch.device("cpu")
for run in (lambda: None, lambda: torch.ones(50_000_000), lambda: None):
    print(peak_of(run, cpu)["process_rss"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    small, large, again = map(int, done.stdout.split())
    assert large - small > 150_000_000 and large - again > 150_000_000  # 200 MB
