"""Taking turns: contenders are timed in interleaved rounds, so that drift cancels in their ratios."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sfic_bench.measure.clock import Clock

SETTLED_SPREAD = 0.05
"""Warm-up ends when the last three times lie within this share of their median."""

WARMUP_SHARE = 0.25
"""Of the time limit that warm-up may take at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """When to stop: at the first of these.

    Attributes:
        relative_width: ``settled`` says that every interval is narrower than this share; not before
            ``min_rounds``.
        max_seconds: of sampling, warm-up included.
        max_rounds: of sampling.
    """

    relative_width: float = 0.02
    max_seconds: float = 30.0
    min_rounds: int = 10
    max_rounds: int = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """Raw times in milliseconds.

    Attributes:
        samples: by contender, one for each round; the i-th of all were taken in the same round.
        warmup_rounds: rounds before those.
        stopped_by: which condition ended it.
    """

    samples: Mapping[str, Sequence[float]]
    warmup_rounds: int
    stopped_by: Literal["interval", "time", "rounds", "interrupt"]


def sample(
    contenders: Mapping[str, Callable[[], object]],
    clock: Clock,
    stop: Stop,
    widths: Callable[[Mapping[str, Sequence[float]]], float],
) -> Sampled:
    """Time ``contenders`` in rounds that alternate in order: A B C, C B A, A B C and so on.

    Args:
        contenders: what to call, by name.
        clock: how to time and how to tell when the time is up.
        stop: when to stop.
        widths: the widest relative interval that the samples so far give.

    Ctrl-C ends sampling early; the rounds that were finished are returned.
    """
    start = clock.now_s()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    warmup = 0
    try:
        warmup = _warm_up(contenders, clock, start + stop.max_seconds * WARMUP_SHARE)
        while True:
            rounds = len(next(iter(samples.values())))
            if rounds >= stop.max_rounds:
                return Sampled(samples=samples, warmup_rounds=warmup, stopped_by="rounds")
            if rounds >= stop.min_rounds and rounds % 5 == 0 and widths(samples) <= stop.relative_width:
                return Sampled(samples=samples, warmup_rounds=warmup, stopped_by="interval")
            if rounds and clock.now_s() - start >= stop.max_seconds:
                return Sampled(samples=samples, warmup_rounds=warmup, stopped_by="time")
            order = list(contenders)[:: 1 if rounds % 2 == 0 else -1]
            times = {name: clock.time_ms(contenders[name]) for name in order}
            for name, ms in times.items():  # whole rounds only
                samples[name].append(ms)
    except KeyboardInterrupt:
        return Sampled(samples=samples, warmup_rounds=warmup, stopped_by="interrupt")


def _warm_up(contenders: Mapping[str, Callable[[], object]], clock: Clock, until_s: float) -> int:
    """Rounds until every contender's time has settled, or the time for it is up; three at least."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    rounds = 0
    while rounds < 3 or not (all(map(_settled, times.values())) or clock.now_s() >= until_s):
        for name, run in contenders.items():
            times[name].append(clock.time_ms(run))
        rounds += 1
    return rounds


def _settled(times: Sequence[float]) -> bool:
    last = sorted(times[-3:])
    return last[2] - last[0] <= SETTLED_SPREAD * last[1]
