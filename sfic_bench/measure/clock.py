"""How long something takes. The clock is passed in, so that whatever decides by it can be tested."""

import time
from collections.abc import Callable
from typing import Protocol

import torch


class Clock(Protocol):
    """What a sampler needs of a clock."""

    def now_s(self) -> float:
        """Seconds since some moment, for budgets."""
        ...

    def time_ms(self, run: Callable[[], object], before: Callable[[], object] | None = None) -> float:
        """Call ``before`` untimed, then ``run``; return the milliseconds until its results exist."""
        ...


class CpuClock:
    """`time.perf_counter` around the call."""

    def now_s(self) -> float:
        return time.perf_counter()

    def time_ms(self, run: Callable[[], object], before: Callable[[], object] | None = None) -> float:
        if before is not None:
            before()
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3


class CudaClock:
    """CUDA events on the device's current stream: the time between two points of the device's own work.

    What ``before`` puts on the stream delays the first event, so that it costs no measured time and
    the host is ahead of the device when measuring begins.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def now_s(self) -> float:
        return time.perf_counter()

    def time_ms(self, run: Callable[[], object], before: Callable[[], object] | None = None) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        with torch.cuda.device(self.device):
            if before is not None:
                before()
            start.record()
            run()
            end.record()
            end.synchronize()
        return float(start.elapsed_time(end))


def l2_flush(device: torch.device) -> Callable[[], object]:
    """What overwrites a CUDA device's L2 cache when called: a buffer of twice its size.

    Without it a repeated call finds its weights and inputs in the cache, as it would not between
    other work.
    """
    size = torch.cuda.get_device_properties(device).L2_cache_size
    return torch.empty(2 * size, dtype=torch.int8, device=device).zero_
