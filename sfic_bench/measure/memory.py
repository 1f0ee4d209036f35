"""Memory under named definitions, all in bytes.

``parameters``: parameters and buffers. ``peak_allocated``: the most that torch's allocator had given
out at once during one call, above what was there before it. ``peak_reserved`` (CUDA): the most that
it had taken from the device.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile


def held(model: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    tensors = (*model.parameters(), *model.buffers())
    return sum(t.numel() * t.element_size() for t in tensors)


def peak_of(run: Callable[[], object], device: torch.device) -> dict[str, int]:
    """Peaks during one call of ``run``."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return {
            "peak_allocated": torch.cuda.max_memory_allocated(device) - before,
            "peak_reserved": torch.cuda.max_memory_reserved(device),
        }
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    held_now = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held_now += event.nbytes()
            peak = max(peak, held_now)
    return {"peak_allocated": peak}
