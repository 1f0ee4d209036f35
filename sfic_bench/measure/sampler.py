"""Taking turns: contenders are timed in interleaved rounds, so that drift cancels in their ratios."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from sfic_bench.measure.clock import Clock
from sfic_bench.measure.failures import explained
from sfic_bench.measure.monitor import Reading

SETTLED_SPREAD = 0.05
"""Warm-up ends when the last three times lie within this share of their median."""

WARMUP_SHARE = 0.25
"""Of the time limit that warm-up may take at most."""


StoppedBy = Literal["interval", "time", "rounds", "interrupt", "nothing to time"]


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
class Contender:
    """What to call, and what to call untimed before each call of it."""

    run: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """Raw times in milliseconds.

    Attributes:
        samples: by contender, one for each round; the i-th of all were taken in the same round.
        readings: of the device during each sample, as far as a monitor was given.
        dropped: contenders that failed, for lack of memory or otherwise, and what was said; they have no
            samples.
        warmup_rounds: rounds before those.
        stopped_by: which condition ended it.
    """

    samples: Mapping[str, Sequence[float]]
    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    warmup_rounds: int
    stopped_by: StoppedBy

    @property
    def rounds(self) -> int:
        return len(next(iter(self.samples.values()), ()))


def sample(
    contenders: Mapping[str, Contender],
    clock: Clock,
    stop: Stop,
    widths: Callable[[Mapping[str, Sequence[float]]], float],
    monitor: Callable[[], Reading] | None = None,
) -> Sampled:
    """Time ``contenders`` in rounds that alternate in order: A B C, C B A, A B C and so on.

    Args:
        contenders: by name.
        clock: how to time and how to tell when the time is up.
        stop: when to stop.
        widths: the widest relative interval that the samples so far give.
        monitor: reads the device during each sample.

    A contender whose call fails is dropped and the others go on. Ctrl-C ends sampling early; the rounds that
    were finished are returned.
    """
    rounds = _Rounds(contenders, clock, monitor)
    warmup, stopped_by = 0, None
    start = clock.now_s()
    try:
        while not rounds.settled(start + stop.max_seconds * WARMUP_SHARE):
            rounds.take()
            warmup += 1
        rounds.forget()
        while (stopped_by := _stopped_by(rounds, stop, clock.now_s() - start, widths)) is None:
            rounds.take()
    except KeyboardInterrupt:
        stopped_by = "interrupt"
    return Sampled(
        samples=rounds.samples,
        readings=rounds.readings,
        dropped=rounds.dropped,
        warmup_rounds=warmup,
        stopped_by=stopped_by,
    )


def _stopped_by(
    rounds: "_Rounds",
    stop: Stop,
    seconds: float,
    widths: Callable[[Mapping[str, Sequence[float]]], float],
) -> StoppedBy | None:
    taken = len(next(iter(rounds.samples.values()), ()))
    if not rounds.samples:
        return "nothing to time"
    if taken >= stop.max_rounds:
        return "rounds"
    if taken >= stop.min_rounds and taken % 5 == 0 and widths(rounds.samples) <= stop.relative_width:
        return "interval"
    return "time" if taken and seconds >= stop.max_seconds else None


class _Rounds:
    def __init__(
        self, contenders: Mapping[str, Contender], clock: Clock, monitor: Callable[[], Reading] | None
    ) -> None:
        self.contenders, self.clock, self.monitor = dict(contenders), clock, monitor
        self.dropped: dict[str, str] = {}
        self.forget()

    def forget(self) -> None:
        self.samples: dict[str, list[float]] = {name: [] for name in self.contenders}
        self.readings: dict[str, list[Reading]] = {name: [] for name in self.contenders if self.monitor}

    def take(self) -> None:
        """One round; Ctrl-C in the middle of it leaves nothing of it."""
        taken = len(next(iter(self.samples.values()), ()))
        times: dict[str, float] = {}
        readings: dict[str, Reading] = {}
        for name in list(self.contenders)[:: 1 if taken % 2 == 0 else -1]:
            contender = self.contenders[name]
            read: list[Reading] = []
            meanwhile = None if self.monitor is None else partial(_append_reading, read, self.monitor)
            try:
                times[name] = self.clock.time_ms(contender.run, contender.before, meanwhile)
            except (RuntimeError, MemoryError) as error:  # what devices and their libraries raise
                self._drop(name, explained(error))
                continue
            if read:
                readings[name] = read[0]
        for name, ms in times.items():
            self.samples[name].append(ms)
        for name, reading in readings.items():
            self.readings[name].append(reading)

    def _drop(self, name: str, told: str) -> None:
        self.dropped[name] = told
        for held in (self.contenders, self.samples, self.readings):
            held.pop(name, None)

    def settled(self, until_s: float) -> bool:
        """Whether every contender's time has, or the time for that is up; not before three rounds."""
        last = [times[-3:] for times in self.samples.values()]
        if last and len(last[0]) < 3:
            return False
        return all(_spread(times) <= SETTLED_SPREAD for times in last) or self.clock.now_s() >= until_s


def _append_reading(readings: list[Reading], monitor: Callable[[], Reading]) -> None:
    readings.append(monitor())


def _spread(times: Sequence[float]) -> float:
    low, middle, high = sorted(times)
    return (high - low) / middle
