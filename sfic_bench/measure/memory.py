"""Memory of networks and of calls, in bytes, each figure under one of the `DEFINITIONS`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from sfic_bench.measure.clock import Action
from sfic_bench.measure.training_step import moments_bytes

DEFINITIONS: Mapping[str, str] = {
    "parameters": "parameters and buffers of the network",
    "peak_allocated": "the most that torch's allocator had given out at once during one call, above what "
    "was held before; of a CUDA graph, during its capture",
    "peak_reserved": "the most that torch's allocator had taken from the CUDA device, for whatever use",
    "graph_pool": "what capturing one CUDA graph has taken from the device and keeps for replay; not known for "
    "torch.compile's own graphs, which share one pool",
    "total": "the most that a call has at once: parameters, buffers, inputs and what is allocated meanwhile; a "
    "training step also has gradients and Adam's two moments, and ends with the step of Adam",
    "process_rss": "the most memory that the whole process had resident during one call",
}
"""What each figure means, by the name under which it is stored."""


def lack_of_memory(needed: int, device: torch.device) -> str:
    """Why ``needed`` bytes cannot be had on ``device``; ``""`` if they can."""
    free = free_memory(device)
    if free is None or needed <= free:
        return ""
    return f"at least {needed / 1e9:,.1f} GB of memory are needed, and {free / 1e9:,.1f} GB are free"


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on ``device``; ``None`` if that is not known.

    On a CPU it is what this process can still get from the system and its control group.
    """
    if device.type == "cuda":  # what torch holds without using it can be had again
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return _system_memory("MemAvailable", "memory.current")


def device_memory(device: torch.device) -> int | None:
    """Bytes that ``device`` has in all, or that a control group leaves of a CPU's; ``None`` if that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return _system_memory("MemTotal")


def _system_memory(field: str, used: str = "") -> int | None:
    """Bytes in a ``field`` of the system's memory, or in its control group less those ``used``, the smaller one.

    ``used`` is a file of the control group. It is ``None`` on a system that says neither.
    """
    limits, group = [], Path("/sys/fs/cgroup")
    try:
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
        limits.append(1024 * int(meminfo.partition(f"{field}:")[2].split()[0]))
        most = int(group.joinpath("memory.max").read_text(encoding="ascii"))
        limits.append(most - (int(group.joinpath(used).read_text(encoding="ascii")) if used else 0))
    except (OSError, ValueError, IndexError):
        pass  # another system, or no limit
    return min(limits, default=None)


def held(model: nn.Module) -> int:
    """Bytes of the parameters and buffers of ``model``."""
    return sum(t.nbytes for t in (*model.parameters(), *model.buffers()))


def total_of(run: Action, model: nn.Module, inputs: Sequence[Tensor], optimiser: torch.optim.Optimizer | None) -> int:
    """The figure ``total`` of the `DEFINITIONS`, of a call of ``run``; an ``optimiser`` makes it a training step's.

    The optimiser has made a step before, so that its moments exist.
    """
    device = inputs[0].device
    if optimiser is None:
        call, moments = run, 0
    else:
        moments = moments_bytes(optimiser)
        for leaf in (*model.parameters(), *inputs):
            leaf.grad = None  # so that the step's own gradients are seen as allocated

        def call() -> None:
            run()
            optimiser.step()

    return held(model) + sum(x.nbytes for x in inputs) + moments + allocated_peak(call, device)


def peak_of(run: Action, device: torch.device) -> dict[str, int]:
    """Peaks during one call of ``run``, under all `DEFINITIONS` that can be measured on ``device``."""
    if device.type == "cuda":
        return {
            "peak_allocated": allocated_peak(run, device),
            "peak_reserved": torch.cuda.max_memory_reserved(device),
        }
    rss = _peak_rss(run)
    return {"peak_allocated": allocated_peak(run, device)} | ({} if rss is None else {"process_rss": rss})


def allocated_peak(run: Action, device: torch.device) -> int:
    """The most bytes that torch's allocator had given out at once during one call, above what was held before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    allocated = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            allocated += event.nbytes()
            peak = max(peak, allocated)
    return peak


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
