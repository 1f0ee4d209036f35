"""Memory of networks and of calls, in bytes, each figure under one of the `DEFINITIONS`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from sfic_bench.measure.clock import Action

DEFINITIONS: Mapping[str, str] = {
    "parameters": "parameters and buffers of the network",
    "peak_allocated": "the most that torch's allocator had given out at once during one call, above what "
    "was held before; of a CUDA graph, during its capture",
    "peak_reserved": "the most that torch's allocator had taken from the CUDA device, for whatever use",
    "graph_pool": "what capturing one CUDA graph has taken from the device and keeps for replay; not known for "
    "torch.compile's own graphs, which share one pool",
    "process_rss": "the most memory that the whole process had resident during one call",
}
"""What each figure means, by the name under which it is stored."""


def lack_of_memory(needed: int, device: torch.device) -> str:
    """Why ``needed`` bytes cannot be had on ``device``; ``""`` if they can."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_memory()
    if free is None or needed <= free:
        return ""
    return f"at least {needed / 1e9:,.1f} GB of memory are needed, and {free / 1e9:,.1f} GB are free"


def _free_memory() -> int | None:
    """Bytes that this process can still get from the system and its control group; ``None`` if that is not known."""
    limits = []
    try:
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
        limits.append(1024 * int(meminfo.partition("MemAvailable:")[2].split()[0]))
        group = Path("/sys/fs/cgroup")
        most, used = (group.joinpath(name).read_text(encoding="ascii") for name in ("memory.max", "memory.current"))
        limits.append(int(most) - int(used))
    except (OSError, ValueError, IndexError):
        pass  # another system, or no limit
    return min(limits, default=None)


def held(model: nn.Module) -> int:
    """Bytes of the parameters and buffers of ``model``."""
    return sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


def peak_of(run: Action, device: torch.device) -> dict[str, int]:
    """Peaks during one call of ``run``, under all `DEFINITIONS` that can be measured on ``device``."""
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
    rss = _peak_rss(run)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    allocated = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            allocated += event.nbytes()
            peak = max(peak, allocated)
    return {"peak_allocated": peak} | ({} if rss is None else {"process_rss": rss})


def _peak_rss(run: Action) -> int | None:
    """Peak resident size of this process during one call, in bytes; ``None`` if the system does not offer it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak, see man 5 proc
    except OSError:
        return None
    run()
    return resident_peak()


def resident_peak(process: int | str = "self") -> int | None:
    """Peak resident size of the process with this number so far, in bytes; ``None`` if the system does not offer it."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
