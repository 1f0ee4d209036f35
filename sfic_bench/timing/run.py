"""Networks and layers are timed: all of one family are prepared, sampled in turns and then evaluated."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from msgspec.structs import replace

from sfic_bench import api
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.devices import cuda_libraries
from sfic_bench.measure.monitor import energy_per_call_j
from sfic_bench.measure.sampler import Sampled, Samples, Stop, sample
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.timing import Best, Family, TimingResult, TimingRow, throughput
from sfic_bench.statistics.interval import Interval
from sfic_bench.statistics.intervals import median_of, paired_ratio, relative_width
from sfic_bench.statistics.percentiles import percentile
from sfic_bench.timing.machine import Machine
from sfic_bench.timing.parts import step_parts
from sfic_bench.timing.prepare import Entry, entries

AGAIN = "again"
"""The contender that is vanilla a second time."""


def measure(
    networks: Iterable[Variant | Stage2Layer],
    paths: Sequence[str],
    conditions: Conditions,
    machine: Machine,
    stop: Stop,
    check_seconds: float = math.inf,
) -> Iterator[TimingResult]:
    """Time each network or layer against its vanilla form, and yield all results so far after each family.

    The first variant of each name must be the vanilla one, as in a `Grid`. A network whose check takes longer than
    ``check_seconds`` gets no time. After Ctrl-C the family that is being
    sampled keeps the rounds that were finished, and no other family follows.

    Raises:
        InvalidValue: for an input that is too small.
    """
    result = nothing_yet(conditions, machine)
    for members in families_of(networks, conditions):
        family, rows = time_family(members, paths, conditions, machine, stop, check_seconds)
        result = replace(result, families=[*result.families, family], rows=[*result.rows, *rows])
        yield result
        if family.stopped_by == "interrupt":
            return


def nothing_yet(conditions: Conditions, machine: Machine) -> TimingResult:
    """A result without rows."""
    return TimingResult(
        environment=machine.environment(conditions), conditions=conditions, peak=machine.peak,
        unwatched=machine.unwatched, families=[], rows=[],
    )  # fmt: skip


def families_of(
    networks: Iterable[Variant | Stage2Layer], conditions: Conditions
) -> Iterator[list[Variant | Stage2Layer]]:
    """``networks`` by name, each family when it is asked for.

    Raises:
        InvalidValue: for an input that is too small, before anything is built.
    """
    by_name: dict[str, list[Variant | Stage2Layer]] = {}
    for network in networks:
        by_name.setdefault(network.name, []).append(network)
    for members in by_name.values():
        if isinstance(members[0], Variant):
            list(api.costs([members[0]], input_size=conditions.input_size))
        yield members


def time_family(
    members: Sequence[Variant | Stage2Layer],
    paths: Sequence[str],
    conditions: Conditions,
    machine: Machine,
    stop: Stop,
    check_seconds: float,
    *,
    of_curve: bool = False,
) -> tuple[Family, list[TimingRow]]:
    """Time one family; rows ``of_curve`` have their batch size."""
    try:
        with cuda_libraries(conditions.dtype):
            prepared = [
                entry
                for member in members
                for entry in entries(member, paths, conditions, machine, check_seconds, of_curve=of_curve)
            ]
            return _FamilyRun(members[0].name, prepared, conditions, machine, stop).measured(of_curve)
    finally:
        if any(path.startswith("compiled") for path in paths):  # compiled networks hold memory
            torch.compiler.reset()


class _FamilyRun:
    """One family: its rows, and the contenders that are ready for some of them, both by a name that they share."""

    def __init__(
        self, name: str, prepared: Sequence[Entry], conditions: Conditions, machine: Machine, stop: Stop
    ) -> None:
        self.name, self.conditions, self.machine, self.stop = name, conditions, machine, stop
        self.rows = {str(i): entry.row for i, entry in enumerate(prepared)}
        self.contenders = {str(i): e.contender for i, e in enumerate(prepared) if e.contender is not None}
        self.energies: dict[int, float | None] = {}
        vanilla = {row.vanilla_key: name for name, row in self.rows.items() if row.is_vanilla}
        self.vanilla = {name: vanilla.get(row.vanilla_key) for name, row in self.rows.items()}
        """The contender that each row is compared with: vanilla on the same path and in the same layout."""

    def measured(self, of_curve: bool) -> tuple[Family, list[TimingRow]]:
        baseline = next((name for name in self.contenders if self.rows[name].is_vanilla), None)
        again = {} if baseline is None else {AGAIN: self.contenders[baseline]}
        read = None if self.machine.monitor is None else self.machine.monitor.read
        sampled = sample({**self.contenders, **again}, self.machine.clock, self.stop, self._widest, read)
        for name, reason in sampled.dropped.items():
            if name != AGAIN:
                self.rows[name] = replace(self.rows[name], reason=reason)
        noise: Interval | None = None
        if sampled.rounds:
            self._evaluate(sampled)
            if baseline is not None and {baseline, AGAIN} <= set(sampled.samples):
                noise = paired_ratio(sampled.samples[AGAIN], sampled.samples[baseline])
        rows = list(self.rows.values())
        family = Family(
            name=self.name, rounds=sampled.rounds, stopped_by=sampled.stopped_by, vanilla_against_itself=noise,
            best=list(_best(rows, self.conditions.flush_l2)),
            batch_size=self.conditions.batch_size if of_curve else None,
        )  # fmt: skip
        return family, rows

    def _widest(self, samples: Samples) -> float:
        times = {name: np.asarray(own) for name, own in samples.items()}
        widths = [0.0]
        for name, own in times.items():
            vanilla = self.vanilla.get(name, name)
            if vanilla is None or vanilla not in times:
                widths.append(relative_width(own))
            elif vanilla != name:
                widths.append(relative_width(own / times[vanilla]))
        return max(widths)

    def _evaluate(self, sampled: Sampled) -> None:
        for name, times in sampled.samples.items():
            if name == AGAIN:
                continue
            row, readings = self.rows[name], sampled.readings.get(name, ())
            vanilla, ratio = self.vanilla[name], None
            if vanilla is not None and vanilla in sampled.samples and not row.is_vanilla:
                ratio = paired_ratio(times, sampled.samples[vanilla])
            latency = median_of(times)
            self.rows[name] = replace(
                row, status="ok", reason="", samples_ms=list(times), latency_ms=latency,
                p90_ms=percentile(times, 90).interval, p99_ms=percentile(times, 99).interval,
                images_per_s=throughput(latency, self.conditions.batch_size),
                parts=step_parts(sampled.laps[name], sampled.laps.get(vanilla or "") if ratio else None),
                ratio_to_vanilla=ratio, fewer_macs_but_slower=self._is_slower(row, vanilla, ratio),
                energy_per_image_j=self._energy(name),
                sm_clock_mhz=[r.sm_clock_mhz for r in readings], throttled=[list(r.throttled) for r in readings],
            )  # fmt: skip

    def _is_slower(self, row: TimingRow, vanilla: str | None, ratio: Interval | None) -> bool:
        """Whether ``row`` has fewer MACs than vanilla while its ratio's whole interval is above 1."""
        macs = None if vanilla is None else self.rows[vanilla].macs
        if ratio is None or row.macs is None or macs is None:
            return False
        return row.macs < macs and ratio.is_above(1)

    def _energy(self, name: str) -> float | None:
        """Joules of one image, counted once for rows that share a function."""
        monitor, run = self.machine.monitor, self.contenders[name].run
        if monitor is None or not self.conditions.energy:
            return None
        if id(run) not in self.energies:
            joules = energy_per_call_j(run, torch.cuda.synchronize, monitor.energy_j, self.machine.clock.now_s)
            self.energies[id(run)] = None if joules is None else joules / self.conditions.batch_size
        return self.energies[id(run)]


def _best(rows: Sequence[TimingRow], flushed: bool) -> Iterator[Best]:
    """Every SFIC form's fastest row against vanilla's fastest; the L2 cache is ``flushed`` or warm for all of them."""
    l2 = "flushed" if flushed else "warm"
    timed = [row for row in rows if row.latency_ms is not None and row.l2 in (None, l2)]

    def median(row: TimingRow) -> float:
        assert row.latency_ms is not None
        return row.latency_ms.estimate

    vanilla = min((row for row in timed if row.is_vanilla), key=median, default=None)
    if vanilla is None:
        return
    for network in dict.fromkeys(row.network for row in timed if not row.is_vanilla):
        row = min((row for row in timed if row.network == network), key=median)
        yield Best(
            backbone=row.backbone, alpha=row.alpha, beta=row.beta,
            layer=row.layer, channels=row.channels, kernel_size=row.kernel_size,
            path=row.path, layout=row.layout, batch_size=row.batch_size,
            vanilla_path=vanilla.path, vanilla_layout=vanilla.layout,
            ratio_to_vanilla=paired_ratio(row.samples_ms, vanilla.samples_ms),
            macs_to_vanilla=row.macs / vanilla.macs if row.macs and vanilla.macs else None,
        )  # fmt: skip
