"""Where a sweep stands: as the process that drives it knows, and as its files and commands say."""

import os
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from sfic_bench.results.shown import Shown
from sfic_bench.sweeping.engines import Running
from sfic_bench.sweeping.kept import Failure

STALE_S = 30.0
"""A driver that has written nothing for so long is taken for dead."""


class Driver(Struct, frozen=True, kw_only=True):
    """What the process that drives a sweep was doing when it last wrote; see `SweepProgress`.

    Attributes:
        started, updated: seconds since 1970.
        ended: number of jobs that have ended in this sweep.
    """

    engine: str
    host: str
    pid: int
    started: float
    updated: float
    over: bool
    ended: int
    seconds_left: float | None
    images_per_s: float | None
    running: dict[str, Running]

    @property
    def is_alive(self) -> bool:
        """Whether it may still be at work."""
        if self.over or time.time() - self.updated > STALE_S:
            return False
        return self.host != platform.node() or _is_running(self.pid)


class CommandRow(Struct, frozen=True, kw_only=True):
    """How many jobs of one command are done, running, failed and left, of all."""

    command: str
    done: int
    running: int
    failed: int
    left: int
    of: int


class SweepResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/sweep/1"):
    """Where a sweep stands, as ``sweep`` and ``sweep status`` write it."""

    commands: list[CommandRow] = msgspec.field(name="cells")
    driver: Driver
    failed: dict[str, Failure]


@dataclass(kw_only=True)
class SweepProgress:
    """Where a sweep stands, as its driver knows.

    Attributes:
        total: number of jobs by command.
        done: number of jobs by command that have a result, from this sweep or earlier ones.
        failed: number of jobs by command that failed.
        ended: number of jobs by command that ended in this sweep.
        spent_s: seconds that those took, by command.
        running: the jobs that are running now, by key.
        reasons: why jobs failed, by key.
        over: whether the sweep has ended.
    """

    engine: str
    total: Counter[str]
    done: Counter[str]
    failed: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    spent_s: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    running: Mapping[str, Running] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    over: bool = False

    @property
    def seconds_left(self) -> float | None:
        """The time to the end, if as many jobs run at once as so far; ``None`` until a job of each command has ended.

        A job is expected to take as long as those of its command that have ended, or as those that are running have
        taken already, if that is longer.
        """
        now, left_s, ages_s = time.time(), 0.0, defaultdict[str, list[float]](list)
        for job in list(self.running.values()):
            ages_s[job.command].append(now - job.since)
        for command, count in self.total.items():
            if left := count - self.done[command] - self.failed[command]:
                if not self.ended[command]:
                    return None
                ages = ages_s[command]
                each = max(self.spent_s[command] / self.ended[command], sum(ages) / max(len(ages), 1))
                left_s += max(left - len(ages), 0) * each + sum(max(each - age, 0.0) for age in ages)
        at_once = (sum(self.spent_s.values()) + sum(map(sum, ages_s.values()))) / max(now - self.started, 1e-3)
        return left_s / max(at_once, 1e-3)

    @property
    def images_per_s(self) -> float | None:
        """Images a second of all trainings together."""
        rates = [r.images_per_s for r in list(self.running.values()) if r.images_per_s is not None]
        return sum(rates) if rates else None

    def driver(self) -> Driver:
        """What this process, which drives the sweep, is doing now."""
        return Driver(
            engine=self.engine, host=platform.node(), pid=os.getpid(), started=self.started, updated=time.time(),
            over=self.over, ended=self.ended.total(), seconds_left=self.seconds_left, images_per_s=self.images_per_s,
            running=dict(self.running),
        )  # fmt: skip


Watch = Callable[[SweepProgress], object]
"""A function that is called every second with where the sweep stands."""


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another error means another user's process
    return True
