"""Sampling in rounds, under a clock whose time the tests set."""

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from helpers.clocks import FakeClock, never, takes

from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.monitor import Reading
from sfic_bench.measure.sampler import Contender, Sampled, Stop, sample


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
def test_the_result_says_what_ended_sampling(
    stop: Stop, widths: Callable[[Mapping[str, Sequence[float]]], float], expected: str
) -> None:
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


def test_a_call_before_is_not_timed() -> None:
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


def test_an_error_of_a_device_drops_a_contender_and_a_defect_is_not_hidden() -> None:
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


def test_without_contenders_there_is_nothing_to_time() -> None:
    assert sample({}, FakeClock(), Stop(), never) == Sampled(samples={}, warmup_rounds=0, stopped_by="nothing to time")


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
    values = {r.sm_clock_mhz for readings in sampled.readings.values() for r in readings}
    assert values == set(range(1006, 1014))  # the six of warm-up are discarded
    assert sampled.readings["a"][0].throttled == ("power cap",)
