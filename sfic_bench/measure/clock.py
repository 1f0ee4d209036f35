"""Clocks that time a call on the CPU and on a CUDA device.

A clock is passed to whatever measures, so that a test can pass one of its own.
"""

import time
from collections.abc import Callable
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
        ...


class CpuClock(Clock):
    """`time.perf_counter` around the call."""

    def time_ms(self, run: Action, before: Action | None = None, meanwhile: Action | None = None) -> float:
        if before is not None:
            before()
        start = time.perf_counter()
        run()
        elapsed = time.perf_counter() - start
        if meanwhile is not None:
            meanwhile()
        return elapsed * 1e3


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

    def time_ms(self, run: Action, before: Action | None = None, meanwhile: Action | None = None) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        with torch.cuda.device(self.device):
            if before is not None:
                before()
            torch.cuda._sleep(HEAD_START_CYCLES)  # type: ignore[no-untyped-call]
            start.record()
            run()
            end.record()
            if meanwhile is not None:
                meanwhile()
            end.synchronize()
        return float(start.elapsed_time(end))


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
