"""`Machine`: what a measurement needs to know of the machine, and to do with it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from msgspec import structs
from torch import nn

from sfic_bench.measure.clock import Clock, CpuClock, CudaClock, l2_flush
from sfic_bench.measure.conditions import Conditions, Device
from sfic_bench.measure.devices import DTYPES, cuda_libraries, missing
from sfic_bench.measure.monitor import NoMonitor, NvmlMonitor
from sfic_bench.measure.peak import Peak
from sfic_bench.measure.roofline import measure_peak
from sfic_bench.measure.sampler import Contender
from sfic_bench.results.environment import Environment, environment, version_of
from sfic_bench.results.timing import TimingRow


class CallRecorder(Protocol):
    """Something that watches one call of each row that is ready and right."""

    def record(self, row: TimingRow, contender: Contender, model: nn.Module | None) -> None:
        """Call ``contender`` once and keep what was seen; ``model`` is what runs module by module, if it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The machine as a measurement uses it.

    Attributes:
        clock: times one call.
        peak: the machine's measured peak rates; without them rows have no floors.
        flush: overwrites the L2 cache; ``None`` on a CPU.
        monitor: reads the device; ``None`` if that is not possible, and ``unwatched`` says why.
        recorders: what else is done with each row's call, such as tracing it, before it is timed.
        memory_limit: bytes that a call may take, if they are fewer than the device has.
    """

    clock: Clock
    peak: Peak | None = None
    flush: Callable[[], object] | None = None
    monitor: NvmlMonitor | None = None
    unwatched: str = ""
    recorders: Sequence[CallRecorder] = ()
    memory_limit: int | None = None

    @classmethod
    def for_conditions(cls, conditions: Conditions) -> "Machine":
        """This machine under ``conditions``; measuring its peak rates takes some seconds."""
        if lack := missing(conditions):
            return cls(clock=CpuClock(), unwatched=lack)
        device = torch.device(conditions.device)
        clock = CpuClock() if conditions.device is Device.CPU else CudaClock(device)
        with cuda_libraries(conditions.dtype):
            peak = measure_peak(device, DTYPES[conditions.dtype], clock)
        if conditions.device is Device.CPU:
            return cls(clock=clock, peak=peak, unwatched="clocks and energy are read on CUDA devices")
        machine = cls(clock=clock, peak=peak, flush=l2_flush(device))
        try:
            return replace(machine, monitor=NvmlMonitor(device))
        except NoMonitor as reason:
            return replace(machine, unwatched=str(reason))

    def environment(self, conditions: Conditions) -> Environment:
        """The environment of this process, with the device that ``conditions`` name."""
        software = structs.replace(environment(), threads=torch.get_num_threads())
        if conditions.device is Device.CPU:
            # Convolutions on a CPU are oneDNN's, which this variable limits to older instructions.
            isa, capability = os.environ.get("ONEDNN_MAX_CPU_ISA"), torch.backends.cpu.get_cpu_capability()
            return structs.replace(software, cpu_capability=capability, onednn_max_cpu_isa=isa)
        if not torch.cuda.is_available():
            return software
        return structs.replace(
            software, processor=torch.cuda.get_device_name(), cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            cudnn_benchmark=True,  # see `sfic_bench.measure.devices.cuda_libraries`
            triton=version_of("triton"), driver=None if self.monitor is None else self.monitor.driver,
        )  # fmt: skip
