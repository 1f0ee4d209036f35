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

    def time_ms(self, run: Callable[[], object]) -> float:
        """Call ``run`` once and return the milliseconds it took, until its results exist."""
        ...


class CpuClock:
    """`time.perf_counter` around the call."""

    def now_s(self) -> float:
        return time.perf_counter()

    def time_ms(self, run: Callable[[], object]) -> float:
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3


class CudaClock:
    """CUDA events on the device's current stream: the time between two points of the device's own work.

    Args:
        device: a CUDA device.
        flush_l2: overwrite a buffer of twice the L2 cache before each call, outside of the measured
            time, so that weights and inputs come from memory as they do between other work.
    """

    def __init__(self, device: torch.device, *, flush_l2: bool = True) -> None:
        self.device = device
        self._flush: torch.Tensor | None = None
        if flush_l2:
            size = torch.cuda.get_device_properties(device).L2_cache_size
            self._flush = torch.empty(2 * size, dtype=torch.int8, device=device)

    def now_s(self) -> float:
        return time.perf_counter()

    def time_ms(self, run: Callable[[], object]) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        with torch.cuda.device(self.device):
            if self._flush is not None:
                self._flush.zero_()
            start.record()
            run()
            end.record()
            end.synchronize()
        return float(start.elapsed_time(end))
