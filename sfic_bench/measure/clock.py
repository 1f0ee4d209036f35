"""Clocks that time a call on the CPU and on a CUDA device.

A clock is passed to whatever measures, so that a test can pass one of its own.
"""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import torch

Action = Callable[[], object]
"""A function that is called for what it does."""


class Clock(Protocol):
    """A clock as a sampler needs it."""

    def now_s(self) -> float:
        """Seconds since a fixed moment, for time limits."""
        return time.perf_counter()

    def time_ms(self, run: Action, before: Action | None = None, meanwhile: Action | None = None) -> float:
        """Call ``before`` untimed, then ``run``; return the milliseconds until its results exist.

        ``meanwhile`` is called untimed too, once ``run`` has returned: while the device still works, or right
        after it has finished.
        """
        return self.laps_ms([run], before, meanwhile)[0]

    def laps_ms(
        self, runs: Sequence[Action], before: Action | None = None, meanwhile: Action | None = None
    ) -> list[float]:
        """Call ``runs`` one directly after another, and return the milliseconds of each, as in `time_ms`.

        Each lap begins where the one before it ends, so that they add up to the time of all.
        """
        ...


class CpuClock(Clock):
    """`time.perf_counter` around the call."""

    def laps_ms(
        self, runs: Sequence[Action], before: Action | None = None, meanwhile: Action | None = None
    ) -> list[float]:
        if before is not None:
            before()
        moments = [time.perf_counter()]
        for run in runs:
            run()
            moments.append(time.perf_counter())
        if meanwhile is not None:
            meanwhile()
        return [1e3 * (end - start) for start, end in pairwise(moments)]


HEAD_START_CYCLES = 200_000
"""Clock cycles that a CUDA device waits before it is timed: about 0.1 ms, in which the host can launch a graph."""


class CudaClock(Clock):
    """CUDA events on the device's current stream: the time between two points of the device's own work.

    The device first does the work of ``before`` and then waits for `HEAD_START_CYCLES`, so that the host has
    launched at least the beginning of ``run`` when the first event comes. Without that wait a short call would
    seem to take as long as its launch.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def laps_ms(
        self, runs: Sequence[Action], before: Action | None = None, meanwhile: Action | None = None
    ) -> list[float]:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(len(runs) + 1)]  # type: ignore[no-untyped-call]
        with torch.cuda.device(self.device):
            if before is not None:
                before()
            torch.cuda._sleep(HEAD_START_CYCLES)  # type: ignore[no-untyped-call]
            events[0].record()
            for run, end in zip(runs, events[1:], strict=True):
                run()
                end.record()
            if meanwhile is not None:
                meanwhile()
            events[-1].synchronize()
        return [float(start.elapsed_time(end)) for start, end in pairwise(events)]


def l2_flush(device: torch.device) -> Action:
    """A function that replaces everything in a CUDA device's L2 cache when it is called.

    Without it a repeated call finds its weights and inputs in the cache, which it would not do between other work. The
    function writes one buffer of twice the cache's size and then reads another one, since written data that stayed in
    the cache would be written back in measured time.
    """
    size = torch.cuda.get_device_properties(device).L2_cache_size
    written, read = (torch.zeros(2 * size // 4, dtype=torch.float32, device=device) for _ in range(2))

    def flush() -> None:
        written.zero_()
        read.sum()

    return flush
