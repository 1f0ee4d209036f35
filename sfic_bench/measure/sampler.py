"""Contenders are timed in turns, in interleaved rounds, so that a drift of the machine cancels in their ratios."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sfic_bench.measure.clock import Action, Clock
from sfic_bench.measure.failures import explained
from sfic_bench.measure.monitor import Reading

SETTLED_SPREAD = 0.05
"""Warm-up ends when each contender's last three times lie within this share of their median."""

WARMUP_SHARE = 0.25
"""The share of the time limit that warm-up may take at most."""

Samples = Mapping[str, Sequence[float]]
"""Times in milliseconds by contender, one for each round; those with the same index are of one round."""

Widest = Callable[[Samples], float]
"""Gives the relative width of the widest interval that follows from samples."""

StoppedBy = Literal["interval", "time", "rounds", "interrupt", "nothing to time"]
"""Which condition ended sampling; ``interrupt`` is Ctrl-C."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """The three conditions that stop sampling, each by itself.

    Attributes:
        relative_width: every interval is at most this wide, relative to its estimate, after at least ``min_rounds``.
        max_seconds: this time has passed, warm-up included.
        max_rounds: so many rounds have been run.
    """

    relative_width: float = 0.02
    max_seconds: float = 30.0
    min_rounds: int = 10
    max_rounds: int = 200

    @classmethod
    def after(cls, max_seconds: float, rounds: int) -> "Stop":
        """Stop after ``max_seconds``, or once intervals are narrow and there are ``rounds``."""
        return cls(max_seconds=max_seconds, min_rounds=rounds, max_rounds=max(rounds, cls().max_rounds))


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """What is called and timed.

    Attributes:
        run: the call.
        before: is called untimed before each call.
        parts: what ``run`` does, part by part, by name; if there are any, they are called instead and timed each.
        after: what follows each call and is timed by itself, by name; it is no part of the call's time.
    """

    run: Action
    before: Action | None = None
    parts: Mapping[str, Action] = field(default_factory=dict)
    after: Mapping[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """The result of sampling.

    Attributes:
        laps: milliseconds of each part of a contender's calls and of what follows them, by contender and name.
        readings: of the device during each sample, if there was a monitor.
        dropped: contenders that failed, for lack of memory or otherwise, and the reason; they have no samples.
        warmup_rounds: rounds before the first sample.
    """

    samples: Samples
    laps: Mapping[str, Samples] = field(default_factory=dict)
    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    warmup_rounds: int
    stopped_by: StoppedBy

    @property
    def rounds(self) -> int:
        return _rounds(self.samples)


def _rounds(samples: Samples) -> int:
    return len(next(iter(samples.values()), ()))


def sample(
    contenders: Mapping[str, Contender],
    clock: Clock,
    stop: Stop,
    widest: Widest,
    monitor: Callable[[], Reading] | None = None,
) -> Sampled:
    """Time ``contenders`` in rounds that alternate in order: A B C, C B A, A B C and so on.

    A contender whose call fails is dropped and the others go on. Ctrl-C ends sampling early; finished rounds are
    returned. If there is a ``monitor``, it reads the device during each sample.
    """
    rounds = _Rounds(contenders, clock, monitor)
    warmup, stopped_by = 0, None
    start = clock.now_s()
    try:
        while not rounds.settled(start + stop.max_seconds * WARMUP_SHARE):
            rounds.take()
            warmup += 1
        rounds.forget()
        while (stopped_by := _stopped_by(rounds.samples, stop, clock.now_s() - start, widest)) is None:
            rounds.take()
    except KeyboardInterrupt:
        stopped_by = "interrupt"
    return Sampled(
        samples=rounds.samples, laps=rounds.laps, readings=rounds.readings, dropped=rounds.dropped,
        warmup_rounds=warmup, stopped_by=stopped_by,
    )  # fmt: skip


def _stopped_by(samples: Samples, stop: Stop, seconds: float, widest: Widest) -> StoppedBy | None:
    rounds = _rounds(samples)
    if not samples:
        return "nothing to time"
    if rounds >= stop.max_rounds:
        return "rounds"
    if rounds >= stop.min_rounds and rounds % 5 == 0 and widest(samples) <= stop.relative_width:
        return "interval"
    return "time" if rounds and seconds >= stop.max_seconds else None


class _Rounds:
    """The rounds so far, and the contenders that have not failed."""

    def __init__(
        self, contenders: Mapping[str, Contender], clock: Clock, monitor: Callable[[], Reading] | None
    ) -> None:
        self.contenders, self.clock, self.monitor = dict(contenders), clock, monitor
        self.dropped: dict[str, str] = {}
        self.forget()

    def forget(self) -> None:
        """Discard all samples and readings."""
        self.laps: dict[str, dict[str, list[float]]] = {
            name: {lap: [] for lap in (*contender.parts, *contender.after)}
            for name, contender in self.contenders.items()
        }
        self.samples: dict[str, list[float]] = {name: [] for name in self.contenders}
        self.readings: dict[str, list[Reading]] = {name: [] for name in self.contenders if self.monitor}

    def take(self) -> None:
        """Run one round; if Ctrl-C interrupts it, none of its times is kept."""
        times: dict[str, float] = {}
        laps: dict[str, list[float]] = {}
        readings: dict[str, list[Reading]] = {name: [] for name in self.contenders}
        for name in list(self.contenders)[:: -1 if _rounds(self.samples) % 2 else 1]:
            contender = self.contenders[name]
            try:
                calls = [*(contender.parts.values() or (contender.run,)), *contender.after.values()]
                ms = self.clock.laps_ms(calls, contender.before, self._reader(readings[name]))
                times[name] = sum(ms[: len(calls) - len(contender.after)])
                laps[name] = ms if contender.parts else ms[1:]
            except (RuntimeError, MemoryError) as error:  # what devices and their libraries raise
                self._drop(name, explained(error))
        for name, time in times.items():
            self.samples[name].append(time)
            for own, lap in zip(self.laps[name].values(), laps[name], strict=True):
                own.append(lap)
            if name in self.readings:
                self.readings[name] += readings[name]

    def _reader(self, readings: list[Reading]) -> Action | None:
        """A function that adds a reading of the monitor to ``readings``; ``None`` without a monitor."""
        monitor = self.monitor
        return None if monitor is None else lambda: readings.append(monitor())

    def _drop(self, name: str, reason: str) -> None:
        self.dropped[name] = reason
        for by_name in (self.contenders, self.samples, self.laps, self.readings):
            by_name.pop(name, None)

    def settled(self, until_s: float) -> bool:
        """Whether warm-up has had three rounds and times agree to `SETTLED_SPREAD`, or it is later than ``until_s``."""
        last = [times[-3:] for times in self.samples.values()]
        if last and len(last[0]) < 3:
            return False
        return all(_spread(times) <= SETTLED_SPREAD for times in last) or self.clock.now_s() >= until_s


def _spread(times: Sequence[float]) -> float:
    low, middle, high = sorted(times)
    return (high - low) / middle
