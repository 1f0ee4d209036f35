"""Time and memory of any `torch.nn.Module`."""

from sfic_bench.measure.clock import Clock, CpuClock, CudaClock
from sfic_bench.measure.execution import MAKERS, Ready, Unavailable
from sfic_bench.measure.sampler import Sampled, Stop, sample

__all__ = [
    "MAKERS",
    "Clock",
    "CpuClock",
    "CudaClock",
    "Ready",
    "Sampled",
    "Stop",
    "Unavailable",
    "sample",
]
