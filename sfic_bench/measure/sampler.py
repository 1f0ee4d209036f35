"""Contenders are timed in turns, in interleaved rounds, so that a drift of the machine cancels in their ratios."""

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
"""The share of the time limit that warm-up may take at most."""


StoppedBy = Literal["interval", "time", "rounds", "interrupt", "nothing to time"]
"""Which condition ended sampling; ``interrupt`` is Ctrl-C."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """When to stop sampling: as soon as one of three conditions holds.

    Attributes:
        relative_width: stop when every interval is at most this wide, relative to its estimate.
        max_seconds: stop after this time, warm-up included.
        min_rounds: rounds before ``relative_width`` is looked at.
        max_rounds: stop after so many rounds.
    """

    relative_width: float = 0.02
    max_seconds: float = 30.0
    min_rounds: int = 10
    max_rounds: int = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """``run``, which is timed, and ``before``, which is called untimed before each call of ``run``."""

    run: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """The result of sampling.

    Attributes:
        samples: times in milliseconds by contender, one for each round; those with the same index are of one round.
        readings: of the device during each sample, if there was a monitor.
        dropped: contenders that failed, for lack of memory or otherwise, and the reason; they have no samples.
        warmup_rounds: rounds before the first sample.
        stopped_by: which condition ended sampling.
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

    A contender whose call fails is dropped and the others go on. Ctrl-C ends sampling early; finished rounds are
    returned.

    Args:
        contenders: what to time, by name.
        clock: times each call, and the whole for the time limit.
        stop: when to stop.
        widths: gives the relative width of the widest interval for the samples so far.
        monitor: reads the device during each sample.
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
    """The rounds so far, and the contenders that have not failed."""

    def __init__(
        self, contenders: Mapping[str, Contender], clock: Clock, monitor: Callable[[], Reading] | None
    ) -> None:
        self.contenders, self.clock, self.monitor = dict(contenders), clock, monitor
        self.dropped: dict[str, str] = {}
        self.forget()

    def forget(self) -> None:
        """Discard all samples and readings."""
        self.samples: dict[str, list[float]] = {name: [] for name in self.contenders}
        self.readings: dict[str, list[Reading]] = {name: [] for name in self.contenders if self.monitor}

    def take(self) -> None:
        """Run one round; if Ctrl-C interrupts it, none of its times is kept."""
        taken = len(next(iter(self.samples.values()), ()))
        times: dict[str, float] = {}
        readings: dict[str, list[Reading]] = {}
        for name in list(self.contenders)[:: 1 if taken % 2 == 0 else -1]:
            contender = self.contenders[name]
            readings[name] = []
            meanwhile = None if self.monitor is None else partial(_append_reading, readings[name], self.monitor)
            try:
                times[name] = self.clock.time_ms(contender.run, contender.before, meanwhile)
            except (RuntimeError, MemoryError) as error:  # what devices and their libraries raise
                self._drop(name, explained(error))
        for name, ms in times.items():
            self.samples[name].append(ms)
            if self.monitor is not None:
                self.readings[name] += readings[name]

    def _drop(self, name: str, reason: str) -> None:
        self.dropped[name] = reason
        for by_name in (self.contenders, self.samples, self.readings):
            by_name.pop(name, None)

    def settled(self, until_s: float) -> bool:
        """Whether warm-up is over, which takes at least three rounds.

        It is over when each contender's last three times agree to `SETTLED_SPREAD`, or at the time ``until_s``.
        """
        last = [times[-3:] for times in self.samples.values()]
        if last and len(last[0]) < 3:
            return False
        return all(_spread(times) <= SETTLED_SPREAD for times in last) or self.clock.now_s() >= until_s


def _append_reading(readings: list[Reading], monitor: Callable[[], Reading]) -> None:
    readings.append(monitor())


def _spread(times: Sequence[float]) -> float:
    low, middle, high = sorted(times)
    return (high - low) / middle
