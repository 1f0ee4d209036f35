"""Time and memory of any `torch.nn.Module`."""

from sfic_bench.measure.clock import Clock, CpuClock, CudaClock, l2_flush
from sfic_bench.measure.execution import MAKERS, Ready, Unavailable, forget_compiled, tensors_of
from sfic_bench.measure.monitor import NoMonitor, NvmlMonitor, Reading
from sfic_bench.measure.roofline import Peak, measure_peak
from sfic_bench.measure.sampler import Contender, Sampled, Stop, sample

__all__ = [
    "MAKERS",
    "Clock",
    "Contender",
    "CpuClock",
    "CudaClock",
    "NoMonitor",
    "NvmlMonitor",
    "Peak",
    "Reading",
    "Ready",
    "Sampled",
    "Stop",
    "Unavailable",
    "forget_compiled",
    "l2_flush",
    "measure_peak",
    "sample",
    "tensors_of",
]
