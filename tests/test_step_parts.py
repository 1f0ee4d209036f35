"""Training steps in their parts, and what one call takes of memory."""

import contextlib
import math

import pytest
import torch
from helpers.clocks import FakeClock, never
from helpers.timings import measure, replace_maker
from torch import Tensor, nn

from sfic_bench.measure.clock import CpuClock, CudaClock
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.execution import Ready, eager
from sfic_bench.measure.memory import total_of
from sfic_bench.measure.sampler import Contender, Stop, sample
from sfic_bench.measure.training_step import BACKWARD, FORWARD, OPTIMISER, moments_bytes, stepping_adam
from sfic_bench.results.timing import WHOLE
from sfic_bench.statistics.intervals import paired_ratio
from sfic_bench.timing.parts import step_parts

TRAINING = Conditions(batch_size=2, input_size=48, training=True)


def test_parts_add_up_and_are_compared_with_vanillas() -> None:
    result = measure(["reference", "fused"], TRAINING)
    vanilla = {row.path: row for row in result.rows if row.is_vanilla}
    for row in result.rows:
        assert list(row.parts) == [FORWARD, BACKWARD, OPTIMISER, WHOLE]
        laps = [row.parts[name].samples_ms for name in (FORWARD, BACKWARD, OPTIMISER)]
        assert [f + b for f, b, _ in zip(*laps, strict=True)] == pytest.approx(row.samples_ms)
        assert [sum(times) for times in zip(*laps, strict=True)] == pytest.approx(row.parts[WHOLE].samples_ms)
        for name, part in row.parts.items():
            base = vanilla[row.path].parts[name]
            expected = None if row.is_vanilla else paired_ratio(part.samples_ms, base.samples_ms)
            assert part.ratio_to_vanilla == expected
    assert all(not row.parts for row in measure(["reference"]).rows)  # inference has none


def test_a_path_that_cannot_be_divided_has_the_optimisers_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def undivided(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        return Ready(run=eager(model, inputs, training).run)

    replace_maker(monkeypatch, "compiled", undivided)
    assert [list(row.parts) for row in measure(["compiled"], TRAINING).rows] == [[OPTIMISER]] * 2


def test_no_memory_for_adam_leaves_the_time_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 1 TiB")

    monkeypatch.setattr(torch.optim.Adam, "step", greedy)
    rows = measure(["reference"], TRAINING).rows
    assert [row.status for row in rows] == ["ok", "ok"]
    assert all(list(row.parts) == [FORWARD, BACKWARD] and "total" not in row.peak_bytes for row in rows)


def test_laps_follow_one_another_and_what_comes_after_is_apart() -> None:
    contender = Contender(
        run=lambda: ("never", 1e9),
        parts={"first": lambda: ("first", 3.0), "second": lambda: ("second", 4.0)},
        after={"then": lambda: ("then", 5.0)},
    )
    whole = Contender(run=lambda: ("whole", 2.0), after={"then": lambda: ("then", 6.0)})
    clock = FakeClock()
    sampled = sample({"a": contender, "b": whole}, clock, Stop(max_rounds=3), never)
    assert sampled.samples == {"a": [7.0] * 3, "b": [2.0] * 3}
    assert sampled.laps == {
        "a": {"first": [3.0] * 3, "second": [4.0] * 3, "then": [5.0] * 3},
        "b": {"then": [6.0] * 3},
    }
    assert clock.order[:5] == ["first", "second", "then", "whole", "then"]


def test_the_cpu_clocks_laps_leave_nothing_out() -> None:
    clock = CpuClock()
    start = clock.now_s()
    laps = clock.laps_ms([lambda: sum(range(200_000)), lambda: None, lambda: sum(range(200_000))])
    seconds = clock.now_s() - start
    assert len(laps) == 3 and laps[1] < laps[0] and 0.5 < sum(laps) / (1e3 * seconds) <= 1
    assert clock.laps_ms([lambda: None], before=lambda: sum(range(2_000_000)))[0] < 5


def test_on_a_cuda_device_an_event_stands_between_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Event:
        def __init__(self, **_: object) -> None:
            pass

        def record(self) -> None:
            calls.append("event")
            self.moment = float(len(calls))

        def synchronize(self) -> None:
            calls.append("wait")

        def elapsed_time(self, end: "Event") -> float:
            return end.moment - self.moment

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "_sleep", lambda _: calls.append("sleep"))
    runs = [lambda: calls.append("forward"), lambda: calls.extend(["backward", "more"])]
    assert CudaClock(torch.device("cuda")).laps_ms(runs, lambda: calls.append("flush")) == [2.0, 3.0]
    assert calls == ["flush", "sleep", "event", "forward", "event", "backward", "more", "event", "wait"]


def test_a_part_without_a_time_is_left_out() -> None:
    parts = step_parts({FORWARD: [1.0, 2.0], BACKWARD: [0.0, 1.0], OPTIMISER: [1.0, 1.0]}, {FORWARD: [2.0, 2.0]})
    assert list(parts) == [FORWARD, OPTIMISER, WHOLE]
    ratio = parts[FORWARD].ratio_to_vanilla
    assert ratio is not None and ratio.estimate == 0.75 and parts[OPTIMISER].ratio_to_vanilla is None


def test_adam_steps_and_leaves_every_weight() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), torch.randn(2, 3, 8, 8)
    run = eager(model, (x,), True).run
    run()
    before = [p.detach().clone() for p in model.parameters()]
    optimiser = stepping_adam(model)
    assert optimiser is not None
    optimiser.step()
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    moments = 2 * sum(p.nbytes for p in model.parameters())
    assert moments <= moments_bytes(optimiser) <= moments + 8 * len(before)  # and a count for each


def test_the_total_of_a_step_is_all_that_lies_in_memory_at_once() -> None:
    model, x = nn.Linear(1000, 500, bias=False), torch.randn(8, 1000)
    run = eager(model, (x,), True).run
    run()
    optimiser = stepping_adam(model)
    assert optimiser is not None
    weights, images = 4 * 1000 * 500, 4 * 8 * 1000
    assert total_of(run, model, (x,), None) >= weights + images
    total = total_of(run, model, (x,), optimiser)
    # The weights, their gradients and two moments, the input, and little else: outputs of 16 kB and their gradients.
    assert math.isclose(total, 4 * weights + images, rel_tol=0.02) and total >= 4 * weights + images
