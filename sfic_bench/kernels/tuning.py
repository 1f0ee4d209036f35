"""Which tile the kernel takes: the fastest of those that were timed, or the default of its workload."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from sfic_bench.kernels.workload import TileShape, Workload

Run = Callable[[TileShape], object]
"""Runs the kernel with a tile."""

Timer = Callable[[Callable[[], object]], float]
"""Gives the milliseconds that a call takes."""

_best: dict[tuple[Workload, torch.device], TileShape] = {}
"""The fastest tiles that were found, which hold until the process ends."""

_timers: list[Timer] = []
"""The timers of the `tuned` blocks that are entered, innermost last."""


def on_device(run: Callable[[], object]) -> float:
    """Milliseconds that ``run`` takes on the CUDA device, with a flushed cache; median of some calls."""
    from triton.testing import do_bench

    return float(do_bench(run, warmup=5, rep=20, return_mode="median"))


@contextmanager
def tuned(timer: Timer = on_device) -> Iterator[None]:
    """Time the tiles of each new workload in this block, and take the fastest from then on.

    Triton compiles each tile anew for each kernel size, enlargement and epilogue, in 0.6 s each; it keeps what it has
    compiled on disk.
    """
    _timers.append(timer)
    try:
        yield
    finally:
        _timers.pop()


def tile_for(workload: Workload, device: torch.device, run: Run) -> TileShape:
    """The tile to run ``workload`` with; inside `tuned`, ``run`` is timed if the workload is new."""
    best = _best.get((workload, device))
    if best is None and _timers:
        best = _best[workload, device] = _fastest(workload, run, _timers[-1])
    return best or workload.tile


def _fastest(workload: Workload, run: Run, timer: Timer) -> TileShape:
    times: dict[TileShape, float] = {}
    for tile in dict.fromkeys((workload.tile, *workload.tiles())):
        try:
            times[tile] = timer(lambda tile=tile: run(tile))  # type: ignore[misc]
        except RuntimeError as error:
            # Triton's OutOfResources is known by its name, so that nothing is imported where there is no Triton.
            if type(error).__name__ != "OutOfResources":
                raise
    return min(times, key=times.__getitem__, default=workload.tile)
