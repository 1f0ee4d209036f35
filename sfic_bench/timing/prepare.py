"""How a network becomes what is timed: it is drawn, fused, placed, made ready on an execution path, and checked."""

import dataclasses
import gc
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from msgspec.structs import replace

from sfic_bench.choices import Kernels
from sfic_bench.counting import Cost, count
from sfic_bench.measure.conditions import Conditions, MemoryLayout, NumberFormat
from sfic_bench.measure.devices import DTYPES, missing
from sfic_bench.measure.execution import Unavailable
from sfic_bench.measure.failures import explained
from sfic_bench.measure.limit import TimeLimit
from sfic_bench.measure.memory import held, lack_of_memory, peak_of, total_of
from sfic_bench.measure.paths import EXECUTION_PATHS, ExecutionPath
from sfic_bench.measure.sampler import Contender
from sfic_bench.measure.training_step import OPTIMISER, stepping_adam
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.fields import finite
from sfic_bench.results.timing import TimingRow
from sfic_bench.timing import forms
from sfic_bench.timing.correctness import Truth, call_once
from sfic_bench.timing.forms import Form
from sfic_bench.timing.machine import Machine

NOT_TIMED = "sampling ended before its first round"
"""The reason of a row that is ready and correct until it has samples."""

FAILURES = (Unavailable, RuntimeError, MemoryError)
"""What paths, devices and their libraries raise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A row without samples, and what is called to take them; ``None`` if its path is unavailable or wrong."""

    row: TimingRow
    contender: Contender | None = None


def entries(
    network: Variant | Stage2Layer,
    paths: Sequence[str],
    conditions: Conditions,
    machine: Machine,
    check_seconds: float,
    *,
    of_curve: bool = False,
) -> list[Entry]:
    """An entry for every path of ``network`` in every layout of ``conditions``, and two for a CUDA graph.

    CUDA graphs are timed with a flushed and with a warm L2 cache. The reference and the eager paths may run for
    ``check_seconds`` in all; what is not checked by then is unavailable. Rows ``of_curve`` have their batch size.

    Raises:
        InvalidValue: if no training step is possible on so small an input.
    """
    rows = [_new_row(network, path, layout) for path in paths for layout in conditions.layout.timed_layouts]
    if of_curve:
        rows = [replace(row, batch_size=conditions.batch_size) for row in rows]
    lack = missing(conditions)
    if lack := lack or lack_of_memory(forms.least_bytes(network, conditions), torch.device(conditions.device)):
        return [Entry(row=replace(row, reason=lack)) for row in rows]
    try:
        checked = _CheckedForms(network, conditions, machine, TimeLimit(check_seconds))
    except FAILURES as error:
        return [Entry(row=replace(row, reason=_reason(error))) for row in rows]
    prepared: list[Entry] = []
    for row in rows:
        contender = None
        try:
            row, contender = checked.ready(row)
        except FAILURES as error:
            row = replace(row, reason=_reason(error))
        prepared += _with_caches(row, contender, conditions, machine)
    del checked
    gc.collect()
    return prepared


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Unavailable) else explained(error)


def _new_row(network: Variant | Stage2Layer, path: str, layout: MemoryLayout) -> TimingRow:
    row = TimingRow(
        backbone=None, alpha=network.alpha, beta=network.beta, path=path, layout=layout,
        status="unavailable", reason=NOT_TIMED,
    )  # fmt: skip
    if isinstance(network, Variant):
        return replace(row, backbone=network.backbone)
    return replace(row, layer="stage2", channels=network.channels, kernel_size=network.kernel_size)


def _with_caches(
    row: TimingRow, contender: Contender | None, conditions: Conditions, machine: Machine
) -> Iterator[Entry]:
    flush = machine.flush
    twice = flush is not None and row.path == "cuda-graph"
    for flushed in (True, False) if twice else (conditions.flush_l2,):
        before = flush if flushed else None
        own = None if contender is None else dataclasses.replace(contender, before=before)
        l2 = None if flush is None else "flushed" if flushed else "warm"
        yield Entry(row=replace(row, l2=l2), contender=own)


class _CheckedForms:
    """One network or layer as the paper draws it and fused, with what both must compute."""

    def __init__(
        self, network: Variant | Stage2Layer, conditions: Conditions, machine: Machine, limit: TimeLimit
    ) -> None:
        self.network, self.conditions, self.machine, self.limit = network, conditions, machine, limit
        self.drawn = forms.drawn(network, conditions)
        with limit:
            self.truth = Truth.of(self.drawn, conditions)
        self._forms: dict[tuple[bool, Kernels], tuple[Form, Cost, str]] = {}

    def _form(self, path: ExecutionPath) -> tuple[Form, Cost, str]:
        """The form, its cost, and what is wrong with it in float32; computed once for all paths and layouts."""
        key = path.fused, path.kernels
        if key not in self._forms:
            form = self.drawn
            if path.fused:
                form = forms.fused(self.network, self.drawn, self.conditions, path.kernels)
            cost = count(form.module, *(tuple(x.shape) for x in form.inputs))
            complaint = ""
            if path.fused and self.conditions.dtype is not NumberFormat.FP32:
                with self.limit:
                    complaint = self.truth.complaint_of_form(form)
            self._forms[key] = form, cost, complaint
        return self._forms[key]

    def ready(self, row: TimingRow) -> tuple[TimingRow, Contender | None]:
        """``row`` with all figures but its times, and its path made ready; ``None`` if the path is wrong."""
        training, device = self.conditions.training, torch.device(self.conditions.device)
        dtype = DTYPES[self.conditions.dtype]
        path = EXECUTION_PATHS[row.path]
        form, cost, complaint = self._form(path)
        row = replace(row, macs=cost.macs)
        if self.machine.peak is not None:
            floor = self.machine.peak.floor_ms(cost.work(dtype.itemsize))
            row = replace(row, floor_ms=floor * (3 if training else 1))
        placed = form.placed(device, dtype, row.layout)
        ready = path.make(placed.module, placed.inputs, training)
        with self.limit if path.is_eager else nullcontext():
            result = call_once(ready.run, placed, training)
        errors = self.truth.errors(result)
        row = replace(
            row, setup_s=ready.setup_s, runtime=ready.runtime,
            max_abs_error=finite(errors.output), gradient_error=finite(errors.gradient),
        )  # fmt: skip
        if complaint := complaint or self.truth.complaint(errors, ready.rounded):
            return replace(row, status="wrong", reason=complaint), None
        peaks = {"parameters": held(placed.module), **peak_of(ready.run, device)}
        optimiser = stepping_adam(placed.module) if training else None
        if ready.peak_bytes is not None:  # the call itself allocates nothing, its graph has it all
            peaks.pop("peak_allocated", None)
            peaks |= ready.peak_bytes
        elif optimiser is not None:
            peaks["total"] = total_of(ready.run, placed.module, placed.inputs, optimiser)
        elif not training:
            peaks["total"] = peaks["parameters"] + sum(x.nbytes for x in placed.inputs) + peaks["peak_allocated"]
        after = {} if optimiser is None else {OPTIMISER: optimiser.step}
        contender = Contender(run=ready.run, parts=ready.parts, after=after)
        row = replace(row, peak_bytes=peaks)
        for recorder in self.machine.recorders:
            recorder.record(row, contender, placed.module if path.is_eager else None)
        return row, contender
