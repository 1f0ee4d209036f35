"""From what is asked to what was found: draw, fuse, check, then time everything of a family in turns."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from sfic_bench import api
from sfic_bench.conditions import Conditions, exact_float32
from sfic_bench.counting import count
from sfic_bench.latency import forms
from sfic_bench.latency.rows import Best, Family, Row
from sfic_bench.measure import (
    MAKERS,
    Clock,
    Contender,
    CpuClock,
    CudaClock,
    NoMonitor,
    NvmlMonitor,
    Peak,
    Ready,
    Sampled,
    Stop,
    Unavailable,
    l2_flush,
    measure_peak,
    sample,
)
from sfic_bench.measure.memory import held, out_of_memory, peak_of
from sfic_bench.measure.monitor import energy_per_call_j
from sfic_bench.report.statistics import median_of, paired_ratio
from sfic_bench.spec import EXECUTION_PATHS, Layer, Variant

AGAIN = "again"
"""The contender that is vanilla once more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a run needs of the machine.

    Attributes:
        clock: times one call.
        peak: what the machine was seen to do; ``None`` leaves the floors out.
        flush: overwrites the L2 cache; ``None`` on a CPU.
        monitor: watches the device; ``None`` where that is not possible, and ``unwatched`` says why.
    """

    clock: Clock
    peak: Peak | None = None
    flush: Callable[[], object] | None = None
    monitor: NvmlMonitor | None = None
    unwatched: str = ""

    @classmethod
    def for_conditions(cls, conditions: Conditions) -> "Machine":
        """This machine under ``conditions``, its peak measured (seconds)."""
        if conditions.missing:
            return cls(clock=CpuClock(), unwatched=conditions.missing)
        device = conditions.torch_device
        with exact_float32(conditions.dtype == "fp32"):
            if device.type == "cpu":
                clock: Clock = CpuClock()
                peak = measure_peak(device, conditions.torch_dtype, clock)
                return cls(clock=clock, peak=peak, unwatched="clocks and energy are read on CUDA devices")
            clock = CudaClock(device)
            peak = measure_peak(device, conditions.torch_dtype, clock)
        machine = cls(clock=clock, peak=peak, flush=l2_flush(device))
        try:
            return replace(machine, monitor=NvmlMonitor(device))
        except NoMonitor as reason:
            return replace(machine, unwatched=str(reason))


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
        with exact_float32(conditions.dtype == "fp32"):
            family = _Run(members, paths, conditions, machine, stop).family()
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
        self.paths, self.conditions, self.machine, self.stop = paths, conditions, machine, stop
        self.rows: list[Row] = []
        self.contenders: dict[str, Contender] = {}
        for what in members:
            self._prepare(what)

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
        """The contender that ``row`` is compared with: vanilla on the same path."""
        return next(
            (
                name
                for name in samples
                if name != AGAIN
                and self.rows[int(name)].what.is_vanilla
                and (self.rows[int(name)].path, self.rows[int(name)].l2) == (row.path, row.l2)
            ),
            None,
        )

    def _widest(self, samples: Mapping[str, Sequence[float]]) -> float:
        widths = [0.0]
        for name, times in samples.items():
            vanilla = name if name == AGAIN else self._vanilla(self.rows[int(name)], samples)
            if vanilla is None:
                widths.append(median_of(times).relative_width)
            elif vanilla != name:
                widths.append(paired_ratio(times, samples[vanilla]).relative_width)
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
        monitor = self.machine.monitor
        if monitor is None:
            return None
        joules = energy_per_call_j(
            self.contenders[name].run, torch.cuda.synchronize, monitor.energy_j, self.machine.clock.now_s
        )
        return None if joules is None else joules / self.conditions.batch_size

    def _prepare(self, what: Variant | Layer) -> None:
        """A row for each path of ``what``, and a contender where the path exists here and is right."""
        rows = [Row(what=what, path=path) for path in self.paths]
        if self.conditions.missing:
            for row in rows:
                row.status, row.reason = "unavailable", self.conditions.missing
            self.rows += rows
            return
        form = forms.drawn(what, self.conditions)
        wanted: forms.Outcome | None = None
        limit = forms.GRADIENT_TOLERANCE
        for row in rows:
            try:
                if wanted is None:
                    wanted = forms.expected(form, self.conditions)
                    if self.conditions.training:
                        rounding = forms.rounding(form, wanted, self.conditions)
                        limit = max(limit, forms.ROUNDING_FACTOR * rounding)
                ready = self._make_ready(row, form, wanted, limit)
            except Unavailable as reason:
                row.status, row.reason, ready = "unavailable", str(reason), None
            except (RuntimeError, MemoryError) as error:
                if (told := out_of_memory(error)) is None:
                    raise
                row.status, row.reason, ready = "unavailable", told, None
            self._enter(row, ready)
        del form, wanted
        gc.collect()

    def _enter(self, row: Row, ready: Ready | None) -> None:
        flush = self.machine.flush
        both = flush is not None and row.path == "cuda-graph"
        modes = [True, False] if both else [self.conditions.flush_l2]
        for flushed in modes:
            entry = replace(row, l2=None if flush is None else "flushed" if flushed else "warm")
            if ready is not None:
                before = flush if flushed else None
                self.contenders[str(len(self.rows))] = Contender(run=ready.run, before=before)
            self.rows.append(entry)

    def _make_ready(
        self, row: Row, drawn: forms.Form, wanted: forms.Outcome, gradient_limit: float
    ) -> Ready | None:
        conditions = self.conditions
        device, training = conditions.torch_device, conditions.training
        path = EXECUTION_PATHS[row.path]
        form = forms.fused(row.what, drawn, conditions) if path.fused else drawn
        cost = count(form.module, *(tuple(x.shape) for x in form.inputs))
        row.macs = cost.macs
        if self.machine.peak is not None:
            floor = self.machine.peak.floor_ms(cost.work(conditions.torch_dtype.itemsize))
            row.floor_ms = floor * (3 if training else 1)
        form = form.placed(device, conditions.torch_dtype, conditions.memory_format)
        ready = MAKERS[path.maker](form.module, form.inputs, training)
        row.setup_s = ready.setup_s
        row.max_abs_error, row.gradient_error = forms.errors(forms.outcome(ready.run, form, training), wanted)
        row.reason = self._complaint(row, wanted, gradient_limit)
        if row.reason:
            row.status = "wrong"
            return None
        peaks = {"parameters": held(form.module), **peak_of(ready.run, device)}
        if ready.peak_bytes is not None:  # the call itself allocates nothing, its graph has it all
            peaks.pop("peak_allocated", None)
            peaks |= ready.peak_bytes
        row.peak_bytes = peaks
        return ready

    def _complaint(self, row: Row, wanted: forms.Outcome, gradient_limit: float) -> str:
        limit = forms.TOLERANCE[self.conditions.dtype] * max(float(t.abs().max()) for t in wanted.outputs)
        assert row.max_abs_error is not None and row.gradient_error is not None
        if not row.max_abs_error <= limit:  # NaN is wrong too
            return f"differs from the float64 reference by {row.max_abs_error:.3g}, more than {limit:.3g}"
        if not row.gradient_error <= gradient_limit:
            return f"gradients differ from the float64 reference's by {row.gradient_error:.2g} of their norm, more than {gradient_limit:.2g}"
        return ""


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
