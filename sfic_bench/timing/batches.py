"""Latency and throughput over batch size: sizes that are asked for, or powers of two until one condition ends them."""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from msgspec.structs import replace

from sfic_bench.errors import LARGEST
from sfic_bench.measure.conditions import Conditions, Device
from sfic_bench.measure.devices import DTYPES
from sfic_bench.measure.failures import is_lack_of_memory
from sfic_bench.measure.memory import free_memory
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.timing import BatchCurve, EndedBy, Family, Fit, TimingResult, TimingRow
from sfic_bench.timing.machine import Machine
from sfic_bench.timing.memory_use import FREE_SHARE, fits_of, predicted
from sfic_bench.timing.run import families_of, measure, nothing_yet, time_family

GAIN = 0.05
"""A gain in images a second is more than this share."""

PATIENCE = 2
"""A search ends after so many batch sizes in a row without a `GAIN`, of which one may be an accident."""

LEAST_ROUNDS = 3
"""A search ends where the time limit lets fewer rounds finish, since a larger batch would have still fewer."""

UNFINISHED = "the run ended before the next batch size"


def measure_batches(
    networks: Iterable[Variant | Stage2Layer],
    paths: Sequence[str],
    conditions: Conditions,
    machine: Machine,
    stop: Stop,
    check_seconds: float = math.inf,
    sizes: Sequence[int] | None = None,
) -> Iterator[TimingResult]:
    """As `measure`, at each of the batch ``sizes``, or at powers of two until memory or throughput end the search.

    Results so far follow after each size. With one size they are those of `measure`. With several, rows have their own
    batch size, and a `BatchCurve` says what ended each backbone's. Where training steps are timed at several sizes, or
    the machine has a ``memory_limit``, the largest batches that fit are added.

    Raises:
        InvalidValue: for an input that is too small.
    """
    networks = list(networks)
    if sizes is not None and len(sizes) == 1:
        conditions = replace(conditions, batch_size=sizes[0])
        fits: list[Fit] = []
        for result in measure(networks, paths, conditions, machine, stop, check_seconds):
            if machine.memory_limit:
                fits += _last_fits(result, networks, conditions, machine, stop)
            yield replace(result, fits=fits)
        return
    first = (2 if conditions.training else 1) if sizes is None else sizes[0]  # BatchNorms train on two images
    conditions = replace(conditions, batch_size=first)
    result = nothing_yet(conditions, machine)
    for members in families_of(networks, conditions):
        search = _Search(members[0].name, conditions, machine, sizes)
        for size in search:
            family, rows = time_family(
                members, paths, replace(conditions, batch_size=size), machine, stop, check_seconds, of_curve=True
            )
            search.add(family, rows)
            result = replace(result, families=[*result.families, family], rows=[*result.rows, *rows])
            if family.stopped_by == "interrupt":
                yield replace(result, curves=[*result.curves, search.curve])
                return
            yield replace(result, curves=[*result.curves, search.curve])
        result = replace(result, curves=[*result.curves, search.curve])
        if conditions.training or machine.memory_limit:
            fits = _last_fits(result, members, conditions, machine, stop)
            result = replace(result, fits=[*result.fits, *fits])
        yield result


def _last_fits(
    result: TimingResult,
    networks: Sequence[Variant | Stage2Layer],
    conditions: Conditions,
    machine: Machine,
    stop: Stop,
) -> list[Fit]:
    """The largest batches of the last family of ``result``, whose members are among ``networks``."""
    name = result.rows[-1].name
    own, rows = [n for n in networks if n.name == name], [row for row in result.rows if row.name == name]
    return fits_of(own, rows, conditions, machine, stop.max_seconds)


class _Search:
    """The batch sizes of one family, one after another, and what ended them."""

    def __init__(self, name: str, conditions: Conditions, machine: Machine, sizes: Sequence[int] | None) -> None:
        self.name, self.conditions, self.machine, self.sizes = name, conditions, machine, sizes
        self.rows: dict[int, list[TimingRow]] = {}
        self.rounds = 0
        self.curve = BatchCurve(name=name, batch_sizes=[], ended_by="interrupt", reason=UNFINISHED)

    def __iter__(self) -> Iterator[int]:
        if self.sizes is not None:
            yield from self.sizes
            self._end("list", "timed at every batch size that was asked for")
            return
        size = self.conditions.batch_size
        while size <= LARGEST and not self._has_ended(size):
            yield size
            size *= 2
        if size > LARGEST:
            self._end("list", f"a batch has at most {LARGEST:,} images")

    def add(self, family: Family, rows: Sequence[TimingRow]) -> None:
        """Take the family and its rows at one more batch size."""
        assert family.batch_size is not None
        self.rows[family.batch_size], self.rounds = list(rows), family.rounds
        self.curve = replace(self.curve, batch_sizes=list(self.rows))

    def _end(self, by: EndedBy, reason: str) -> bool:
        self.curve = replace(self.curve, ended_by=by, reason=reason)
        return True

    def _has_ended(self, following: int) -> bool:
        """Whether the search ends before the batch size ``following``."""
        if not self.rows:
            return False
        size, rows = list(self.rows.items())[-1]
        if lacking := [row for row in rows if is_lack_of_memory(row.reason)]:
            row = lacking[0]
            return self._end("memory", f"at batch {size} {row.network} on {row.path} found no memory: {row.reason}")
        if all(row.status != "ok" for row in rows):
            return self._end("failure", f"at batch {size} nothing could be timed: {rows[0].reason}")
        if self.rounds < LEAST_ROUNDS:
            reason = f"at batch {size} the time limit let fewer than {LEAST_ROUNDS} rounds finish: raise --max-seconds"
            return self._end("time", reason)
        return self._lacks_memory(following) or self._gains_nothing()

    def _lacks_memory(self, following: int) -> bool:
        needed = max((predicted(totals, following) for totals in self._totals()), default=0)
        limit = self.machine.memory_limit
        if limit is not None and needed > limit:
            reason = f"batch {following} would take {_gb(needed)}, and the limit is {_gb(limit)}"
            return self._end("memory", f"ended by memory: {reason}")
        free = free_memory(torch.device("cpu"))
        if self.conditions.device is Device.CUDA or free is None:
            return False  # a CUDA device says itself that memory is out
        checked = needed * 8 // DTYPES[self.conditions.dtype].itemsize  # in float64
        if checked > FREE_SHARE * free:
            reason = f"batch {following} and its check in float64 would take {_gb(checked)}"
            return self._end("memory", f"ended by memory: {reason}, and half of what is free is {_gb(free // 2)}")
        return False

    def _totals(self) -> list[dict[int, int]]:
        """The measured memory of each path of each network, by batch size."""
        by_row: dict[tuple[object, ...], dict[int, int]] = {}
        for size, rows in self.rows.items():
            for row in rows:
                if "total" in row.peak_bytes:
                    key = (row.alpha, row.beta, row.path, row.layout)
                    by_row.setdefault(key, {})[size] = row.peak_bytes["total"]
        return list(by_row.values())

    def _gains_nothing(self) -> bool:
        """Whether the last batch sizes raised neither vanilla's most images a second nor SFIC's."""
        sizes = list(self.rows)
        if len(sizes) <= PATIENCE:
            return False
        gains = []
        for is_vanilla in (True, False):
            most = [
                max((_images(row) for row in rows if row.is_vanilla is is_vanilla), default=0.0)
                for rows in self.rows.values()
            ]
            if before := max(most[:-PATIENCE]):
                gains.append(max(most[-PATIENCE:]) / before - 1)
        if not gains or max(gains) > GAIN:
            return False
        last = " and ".join(map(str, sizes[-PATIENCE:]))
        reason = f"batches of {last} gain {100 * max(gains):+.1f}% images a second at most, not over {100 * GAIN:.0f}%"
        return self._end("throughput", f"ended by throughput: {reason}")


def _images(row: TimingRow) -> float:
    """The row's images a second; 0 without a time."""
    return 0.0 if row.images_per_s is None else row.images_per_s.estimate


def _gb(size: int) -> str:
    return f"{size / 1e9:,.2f} GB"
