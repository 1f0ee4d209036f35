"""From a network to what is timed: drawn, fused, placed, made ready on a path, and checked."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sfic_bench.conditions import LAYOUTS, Conditions
from sfic_bench.counting import Cost, count
from sfic_bench.latency import forms
from sfic_bench.latency.correctness import Truth, outcome
from sfic_bench.latency.forms import Form
from sfic_bench.latency.machine import Machine
from sfic_bench.latency.rows import Row
from sfic_bench.measure import MAKERS, Contender, Ready, Unavailable
from sfic_bench.measure.failures import explained
from sfic_bench.measure.memory import held, peak_of
from sfic_bench.spec import EXECUTION_PATHS, Layer, Variant


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A row, and what is called to time it; ``None`` where its path does not exist here or is wrong."""

    row: Row
    contender: Contender | None = None


def entries(
    what: Variant | Layer, paths: Sequence[str], conditions: Conditions, machine: Machine
) -> list[Entry]:
    """Every path of ``what`` in every layout that ``conditions`` ask for; CUDA graphs with a flushed and with a warm cache.

    Raises:
        InvalidValue: if no training step is possible on so small an input.
    """
    rows = [
        Row(what=what, path=path, channels_last=last) for path in paths for last in LAYOUTS[conditions.layout]
    ]
    if conditions.missing:
        return [Entry(row=replace(row, status="unavailable", reason=conditions.missing)) for row in rows]
    try:
        subject = _Subject(what, conditions, machine)
    except (RuntimeError, MemoryError) as error:
        return [Entry(row=replace(row, status="unavailable", reason=explained(error))) for row in rows]
    found = []
    for row in rows:
        ready = None
        try:
            ready = subject.ready(row)
        except Unavailable as reason:
            row.status, row.reason = "unavailable", str(reason)
        except (RuntimeError, MemoryError) as error:  # what devices and their libraries raise
            row.status, row.reason = "unavailable", explained(error)
        found += _both_caches(row, ready, conditions, machine)
    del subject
    gc.collect()
    return found


def _both_caches(row: Row, ready: Ready | None, conditions: Conditions, machine: Machine) -> list[Entry]:
    flush = machine.flush
    both = flush is not None and row.path == "cuda-graph"
    found = []
    for flushed in (True, False) if both else (conditions.flush_l2,):
        entry = replace(row, l2=None if flush is None else "flushed" if flushed else "warm")
        contender = None
        if ready is not None:
            contender = Contender(run=ready.run, before=flush if flushed else None)
        found.append(Entry(row=entry, contender=contender))
    return found


class _Subject:
    """One network or layer: the form that the paper draws, the fused form, and what both must compute."""

    def __init__(self, what: Variant | Layer, conditions: Conditions, machine: Machine) -> None:
        self.what, self.conditions, self.machine = what, conditions, machine
        self.drawn = forms.drawn(what, conditions)
        self.truth = Truth.of(self.drawn, conditions)
        self._forms: dict[bool, tuple[Form, Cost, str]] = {}

    def _form(self, fused: bool) -> tuple[Form, Cost, str]:
        """The form, what it costs, and what is wrong with it in float32; worked out once for all paths and layouts."""
        if fused not in self._forms:
            form = forms.fused(self.what, self.drawn, self.conditions) if fused else self.drawn
            cost = count(form.module, *(tuple(x.shape) for x in form.inputs))
            low = fused and self.conditions.dtype != "fp32"
            self._forms[fused] = form, cost, self.truth.complaint_of_form(form) if low else ""
        return self._forms[fused]

    def ready(self, row: Row) -> Ready | None:
        """The path of ``row`` made ready, with all in the row that is known before it is timed; ``None`` if it is wrong."""
        conditions = self.conditions
        device, training = conditions.torch_device, conditions.training
        path = EXECUTION_PATHS[row.path]
        form, cost, complaint = self._form(path.fused)
        row.macs = cost.macs
        if self.machine.peak is not None:
            floor = self.machine.peak.floor_ms(cost.work(conditions.torch_dtype.itemsize))
            row.floor_ms = floor * (3 if training else 1)
        placed = form.placed(device, conditions.torch_dtype, row.channels_last)
        ready = MAKERS[path.maker](placed.module, placed.inputs, training)
        row.setup_s = ready.setup_s
        found = self.truth.errors(outcome(ready.run, placed, training))
        row.max_abs_error, row.gradient_error = found.output, found.gradient
        row.reason = complaint or self.truth.complaint(found)
        if row.reason:
            row.status = "wrong"
            return None
        peaks = {"parameters": held(placed.module), **peak_of(ready.run, device)}
        if ready.peak_bytes is not None:  # the call itself allocates nothing, its graph has it all
            peaks.pop("peak_allocated", None)
            peaks |= ready.peak_bytes
        row.peak_bytes = peaks
        return ready
