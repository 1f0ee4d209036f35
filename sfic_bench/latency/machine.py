"""What a run needs of the machine: a clock, the machine's peaks, and on a CUDA device a cache to flush and a monitor."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sfic_bench.conditions import Conditions, cuda_libraries
from sfic_bench.measure import (
    Clock,
    CpuClock,
    CudaClock,
    NoMonitor,
    NvmlMonitor,
    Peak,
    l2_flush,
    measure_peak,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a run needs of the machine.

    Attributes:
        clock: times one call.
        peak: what the machine was seen to do; ``None`` leaves the floors out.
        flush: overwrites the L2 cache; ``None`` on a CPU.
        monitor: watches the device; ``None`` where that is not possible, and ``unwatched`` says why.
    """

    clock: Clock
    peak: Peak | None = None
    flush: Callable[[], object] | None = None
    monitor: NvmlMonitor | None = None
    unwatched: str = ""

    @classmethod
    def for_conditions(cls, conditions: Conditions) -> "Machine":
        """This machine under ``conditions``, its peak measured (seconds)."""
        if conditions.missing:
            return cls(clock=CpuClock(), unwatched=conditions.missing)
        device = conditions.torch_device
        with cuda_libraries(conditions.dtype):
            if device.type == "cpu":
                clock: Clock = CpuClock()
                peak = measure_peak(device, conditions.torch_dtype, clock)
                return cls(clock=clock, peak=peak, unwatched="clocks and energy are read on CUDA devices")
            clock = CudaClock(device)
            peak = measure_peak(device, conditions.torch_dtype, clock)
        machine = cls(clock=clock, peak=peak, flush=l2_flush(device))
        try:
            return replace(machine, monitor=NvmlMonitor(device))
        except NoMonitor as reason:
            return replace(machine, unwatched=str(reason))
