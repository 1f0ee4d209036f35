"""The memory that one call takes by its batch size, and the largest batch that fits into a given memory."""

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from msgspec.structs import replace

from sfic_bench import api
from sfic_bench.errors import LARGEST
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.devices import DTYPES, cuda_libraries, missing
from sfic_bench.measure.failures import is_lack_of_memory, out_of_memory
from sfic_bench.measure.memory import device_memory, free_memory, total_of
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.training_step import stepping_adam
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.timing import Basis, Fit, TimingRow
from sfic_bench.timing import forms
from sfic_bench.timing.machine import Machine

FREE_SHARE = 0.5
"""The share of a CPU's free memory that a search for larger batches may take, since a system that swaps measures
nothing and may end the process.
"""

TRIES, BY_LINE = 16, 3
"""Batch sizes that the search for the largest one runs at most, and how many of them the line through the others gives.

Where memory was not to be had, nothing is known of how much was missing, so that the later ones halve what is left.
"""

CALLS = 4
"""How often the time of a call is spent to measure its memory: building, two calls, and the profiler."""

Totals = Mapping[int, int]
"""Bytes of one call by its batch size."""

Measure = Callable[[int], int | None]
"""Gives the bytes of a call with so many images; ``None`` where that cannot be measured."""


def predicted(totals: Totals, images: int) -> int:
    """Bytes of a call with ``images`` images, on the line through the two largest sizes that were measured.

    With one size it is proportional, which is too much by what does not grow with the batch.
    """
    sizes = sorted(totals)[-2:]
    if len(sizes) == 1:
        return totals[sizes[0]] * max(images, sizes[0]) // sizes[0]
    slope, start = _line(totals)
    return int(start + slope * images)


def _line(totals: Totals) -> tuple[float, float]:
    """Bytes of one more image, and bytes without any, by the two largest sizes of ``totals``."""
    small, large = sorted(totals)[-2:]
    slope = (totals[large] - totals[small]) / (large - small)
    return slope, totals[large] - slope * large


@dataclass(frozen=True, kw_only=True, slots=True)
class LargestBatch:
    """A batch size with its memory; ``is_measured`` if it was run and one more image did not fit."""

    images: int
    total_bytes: int
    is_measured: bool


def largest_batch(totals: Totals, limit: int, measure: Measure) -> LargestBatch:
    """The largest batch of which a call takes at most ``limit`` bytes.

    Args:
        totals: what is known, of one size at least.
        limit: bytes.
        measure: is asked for the sizes next to the border, until one fits and the next does not.
    """
    known = dict(totals)
    for tried in range(TRIES):
        low = max((b for b, total in known.items() if total <= limit), default=0)
        high = min((b for b, total in known.items() if total > limit), default=LARGEST + 1)
        if high == low + 1:
            return LargestBatch(images=low, total_bytes=known.get(low, 0), is_measured=high in known)
        guess = _at(known, limit) if tried < BY_LINE or high > LARGEST else (low + high) // 2
        guess = min(max(guess, low + 1), high - 1)
        total = measure(guess)
        if total is None:
            images = min(max(_at(known, limit), low), high - 1)
            size = known.get(images, predicted(known, images))
            return LargestBatch(images=images, total_bytes=size, is_measured=False)
        known[guess] = total
    return LargestBatch(images=low, total_bytes=known.get(low, 0), is_measured=False)


def _at(known: Totals, limit: int) -> int:
    """The batch size at which the line through what is ``known`` reaches ``limit``."""
    if len(known) == 1:
        ((images, total),) = known.items()
        return images * limit // max(1, total)
    slope, start = _line(known)
    return LARGEST if slope <= 0 else max(0, int((limit - start) // slope))


def fits_of(
    networks: Sequence[Variant | Stage2Layer],
    rows: Iterable[TimingRow],
    conditions: Conditions,
    machine: Machine,
    seconds: float,
) -> list[Fit]:
    """The largest batch of each network on each path of ``rows``, which are one family's at all batch sizes.

    Sizes that were not timed are run for it, at most ``seconds`` each, on eager paths that the memory allows.
    """
    if missing(conditions):
        return []
    device = torch.device(conditions.device)
    limit = machine.memory_limit or device_memory(device)
    if limit is None:
        return []
    by_path: dict[tuple[object, ...], list[TimingRow]] = {}
    for row in rows:
        by_path.setdefault((row.alpha, row.beta, row.path, row.layout), []).append(row)
    named = {(network.alpha, network.beta): network for network in networks}
    fits = []
    for own in by_path.values():
        network, row = named[own[0].alpha, own[0].beta], own[0]
        totals = {r.batch_size or conditions.batch_size: r.peak_bytes["total"] for r in own if "total" in r.peak_bytes}
        if totals:
            largest = largest_batch(totals, limit, _CallMemory(network, own, totals, conditions, limit, seconds))
            basis: Basis = "measured" if largest.is_measured else "estimated"
            fits.append(_fit(row, limit, largest.images, largest.total_bytes, basis))
        elif isinstance(network, Variant) and all(is_lack_of_memory(r.reason) for r in own):
            fits.append(_fit(row, limit, *_bound(network, conditions, limit), "bound"))
    return fits


def _fit(row: TimingRow, limit: int, images: int, total_bytes: int, basis: Basis) -> Fit:
    return Fit(
        backbone=row.backbone, alpha=row.alpha, beta=row.beta, layer=row.layer, channels=row.channels,
        kernel_size=row.kernel_size, path=row.path, layout=row.layout, batch_size=images, limit_bytes=limit,
        total_bytes=total_bytes, basis=basis,
    )  # fmt: skip


def _bound(network: Variant, conditions: Conditions, limit: int) -> tuple[int, int]:
    """Images that certainly do not fit if there is one more, and the least bytes of so many."""
    (costed,) = api.costs([network], input_size=conditions.input_size)

    def least(images: int) -> int:
        size = DTYPES[conditions.dtype].itemsize
        return costed.cost.least_bytes(size, images=images, training=conditions.training)

    one_more = max(1, least(2) - least(1))
    images = min(LARGEST, max(0, (limit - least(1)) // one_more + 1))
    return images, least(images)


class _CallMemory:
    """Builds a network for a batch size and gives the bytes of one call, where path, memory and time allow it."""

    def __init__(
        self,
        network: Variant | Stage2Layer,
        rows: Sequence[TimingRow],
        totals: Totals,
        conditions: Conditions,
        limit: int,
        seconds: float,
    ) -> None:
        self.network, self.rows, self.totals, self.conditions = network, rows, totals, conditions
        self.limit, self.seconds, self.device = limit, seconds, torch.device(conditions.device)

    def __call__(self, images: int) -> int | None:
        if not self._is_affordable(images):
            return None
        try:
            return self._total(images)
        except (RuntimeError, MemoryError) as error:
            return self.limit + 1 if out_of_memory(error) and self._device_has_it() else None
        finally:
            gc.collect()

    def _is_affordable(self, images: int) -> bool:
        """Whether it is an eager path, and its memory and its time are there as far as timed sizes tell."""
        if not EXECUTION_PATHS[self.rows[0].path].is_eager:
            return False
        per_image_ms = min(
            (r.latency_ms.estimate / (r.batch_size or self.conditions.batch_size) for r in self.rows if r.latency_ms),
            default=0.0,
        )
        if CALLS * images * per_image_ms > 1e3 * self.seconds:
            return False
        if self.device.type == "cuda" and self._device_has_it():
            return True  # the device says itself when memory is out
        free, share = free_memory(self.device) or 0, FREE_SHARE if self.device.type == "cpu" else 1.0
        return predicted(self.totals, images) <= share * free

    def _device_has_it(self) -> bool:
        """Whether the device has as much memory as the limit allows, so that a lack of it is too much for the limit."""
        return self.limit <= (device_memory(self.device) or 0)

    def _total(self, images: int) -> int:
        conditions, row = replace(self.conditions, batch_size=images), self.rows[0]
        path, training = EXECUTION_PATHS[row.path], conditions.training
        with cuda_libraries(conditions.dtype):
            form = forms.drawn(self.network, conditions)
            if path.fused:
                form = forms.fused(self.network, form, conditions)
            placed = form.placed(self.device, DTYPES[conditions.dtype], row.layout)
            del form
            ready = path.make(placed.module, placed.inputs, training)
            ready.run()  # gradients for the optimiser's first step
            optimiser = stepping_adam(placed.module) if training else None
            return total_of(ready.run, placed.module, placed.inputs, optimiser)
