"""From what is asked to what was found: prepare, then time everything of a family in turns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch

from sfic_bench import api
from sfic_bench.conditions import Conditions, cuda_libraries
from sfic_bench.latency.machine import Machine
from sfic_bench.latency.prepare import entries
from sfic_bench.latency.rows import Best, Family, Row
from sfic_bench.measure import Contender, Sampled, Stop, forget_compiled, sample
from sfic_bench.measure.monitor import energy_per_call_j
from sfic_bench.report.statistics import median_of, paired_ratio, relative_width
from sfic_bench.spec import Layer, Variant

AGAIN = "again"
"""The contender that is vanilla once more."""


def measure(
    asked: Iterable[Variant | Layer],
    paths: Sequence[str],
    conditions: Conditions,
    machine: Machine,
    stop: Stop,
) -> Iterator[Family]:
    """Time each network's or layer's variants against its vanilla form, one `Family` a name.

    The first variant of each name must be the vanilla one, as in a `Grid`. Ctrl-C while sampling
    ends a family early, with the rounds that were finished, and no other follows.

    Raises:
        InvalidValue: for an input that is too small.
    """
    families: dict[str, list[Variant | Layer]] = {}
    for what in asked:
        families.setdefault(what.name, []).append(what)
    for members in families.values():
        if isinstance(members[0], Variant):
            # Names the smallest size that works, before anything is built.
            list(api.costs([members[0]], input_size=conditions.input_size))
        try:
            with cuda_libraries(conditions.dtype):
                family = _Run(members, paths, conditions, machine, stop).family()
        finally:
            if any(path.startswith("compiled") for path in paths):
                forget_compiled()
        yield family
        if family.stopped_by == "interrupt":
            return


class _Run:
    """One family: its rows, and what is ready to be called for some of them."""

    def __init__(
        self,
        members: Sequence[Variant | Layer],
        paths: Sequence[str],
        conditions: Conditions,
        machine: Machine,
        stop: Stop,
    ) -> None:
        self.conditions, self.machine, self.stop = conditions, machine, stop
        self.rows: list[Row] = []
        self.contenders: dict[str, Contender] = {}
        self.energies: dict[int, float | None] = {}
        for what in members:
            for entry in entries(what, paths, conditions, machine):
                if entry.contender is not None:
                    self.contenders[str(len(self.rows))] = entry.contender
                self.rows.append(entry.row)

    def family(self) -> Family:
        baseline = next((n for n in self.contenders if self.rows[int(n)].what.is_vanilla), None)
        again = {} if baseline is None else {AGAIN: self.contenders[baseline]}
        monitor = self.machine.monitor
        sampled = sample(
            {**self.contenders, **again},
            self.machine.clock,
            self.stop,
            self._widest,
            None if monitor is None else monitor.read,
        )
        for name, told in sampled.dropped.items():
            if name != AGAIN:
                self.rows[int(name)].status, self.rows[int(name)].reason = "unavailable", told
        if sampled.rounds:
            self._evaluate(sampled)
        noise = None
        if sampled.rounds and baseline is not None and {baseline, AGAIN} <= set(sampled.samples):
            noise = paired_ratio(sampled.samples[AGAIN], sampled.samples[baseline])
        return Family(
            rows=self.rows,
            noise=noise,
            best=list(_best(self.rows, self.conditions.flush_l2)),
            stopped_by=sampled.stopped_by,
            rounds=sampled.rounds,
        )

    def _vanilla(self, row: Row, samples: Mapping[str, Sequence[float]]) -> str | None:
        """The contender that ``row`` is compared with: vanilla on the same path, in the same layout."""
        for name in samples:
            other = None if name == AGAIN else self.rows[int(name)]
            if other is not None and other.what.is_vanilla and other.where == row.where:
                return name
        return None

    def _widest(self, samples: Mapping[str, Sequence[float]]) -> float:
        times = {name: np.asarray(taken) for name, taken in samples.items()}
        widths = [0.0]
        for name, own in times.items():
            vanilla = name if name == AGAIN else self._vanilla(self.rows[int(name)], samples)
            if vanilla is None:
                widths.append(relative_width(own))
            elif vanilla != name:
                widths.append(relative_width(own / times[vanilla]))
        return max(widths)

    def _evaluate(self, sampled: Sampled) -> None:
        for name, times in sampled.samples.items():
            if name == AGAIN:
                continue
            row = self.rows[int(name)]
            row.samples, row.readings = times, sampled.readings.get(name, ())
            row.latency = median_of(times)
            row.energy_j = self._energy(name)
            vanilla = self._vanilla(row, sampled.samples)
            if vanilla is None or row.what.is_vanilla:
                continue
            row.ratio = paired_ratio(times, sampled.samples[vanilla])
            macs = self.rows[int(vanilla)].macs
            if row.macs is not None and macs is not None:
                row.fewer_macs_but_slower = row.macs < macs and row.ratio.low > 1

    def _energy(self, name: str) -> float | None:
        """Joules of one image, counted once for rows that call the same thing."""
        monitor, run = self.machine.monitor, self.contenders[name].run
        if monitor is None or not self.conditions.energy:
            return None
        if id(run) not in self.energies:
            joules = energy_per_call_j(
                run, torch.cuda.synchronize, monitor.energy_j, self.machine.clock.now_s
            )
            self.energies[id(run)] = None if joules is None else joules / self.conditions.batch_size
        return self.energies[id(run)]


def _best(rows: Sequence[Row], flushed: bool) -> Iterator[Best]:
    """Every SFIC form's fastest row beside vanilla's fastest, with the L2 cache as asked for."""
    l2 = "flushed" if flushed else "warm"
    timed = [r for r in rows if r.latency is not None and r.l2 in (None, l2)]

    def median(row: Row) -> float:
        assert row.latency is not None
        return row.latency.median

    vanilla = min((r for r in timed if r.what.is_vanilla), key=median, default=None)
    if vanilla is None:
        return
    for what in dict.fromkeys(r.what for r in timed if not r.what.is_vanilla):
        row = min((r for r in timed if r.what == what), key=median)
        yield Best(row=row, vanilla=vanilla, ratio=paired_ratio(row.samples, vanilla.samples))
