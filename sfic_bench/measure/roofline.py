"""The best rates of a machine, measured, from which follows the least time that a piece of work can take.

Williams, Waterman & Patterson, "Roofline: an insightful visual performance model for multicore architectures", CACM
52(4), 2009, applied to each operation by itself: a convolution takes at least as long as its multiply-adds at the
machine's best rate, and as reading and writing its tensors once.
"""

import math

import torch

from sfic_bench.measure.clock import Action, Clock
from sfic_bench.measure.peak import Peak

MATRIX = {"cpu": 1536, "cuda": 8192}
"""Rows and columns of the matrices that are multiplied, by device: large enough to keep it busy."""

COPIED_BYTES = {"cpu": 2**28, "cuda": 2**30}
"""Bytes that are copied, by device: more than any cache holds."""

REPEATS = 15
"""How often each rate is measured; the best one counts."""

SUSTAINED_S = {"cpu": 0.0, "cuda": 0.1}
"""Seconds that one measurement lasts at least: a CUDA device holds its highest clock for some milliseconds only."""


def measure_peak(device: torch.device, dtype: torch.dtype, clock: Clock) -> Peak:
    """Multiply two square matrices and copy a buffer on ``device``; the shortest time of each counts.

    The values are drawn from a normal distribution, like those of a network. On numbers with fewer different bits a
    device takes less power and clocks higher.
    """
    n = MATRIX.get(device.type, MATRIX["cpu"])
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    product = torch.empty(n, n, device=device, dtype=dtype)
    source = torch.randn(COPIED_BYTES.get(device.type, COPIED_BYTES["cpu"]) // 4, device=device)
    target = torch.zeros_like(source)
    seconds = SUSTAINED_S.get(device.type, 0.0)
    multiply_ms = _sustained_ms(lambda: torch.mm(a, b, out=product), clock, seconds)
    copy_ms = _sustained_ms(lambda: target.copy_(source), clock, seconds)
    return Peak(macs_per_s=1e3 * n**3 / multiply_ms, bytes_per_s=1e3 * 2 * source.nbytes / copy_ms)


def _sustained_ms(run: Action, clock: Clock, seconds: float) -> float:
    """Milliseconds of one call, from the best of `REPEATS` series that last at least ``seconds`` and one call."""
    clock.time_ms(run)
    calls = max(1, math.ceil(1e3 * seconds / clock.time_ms(run)))

    def series() -> None:
        for _ in range(calls):
            run()

    return min(clock.time_ms(series) for _ in range(REPEATS)) / calls
