"""Traces and memory snapshots of one call of each row, written to a folder, one file a row.

A trace opens in Perfetto (https://ui.perfetto.dev) and in Chrome (chrome://tracing), a snapshot in torch's viewer
(https://pytorch.org/memory_viz).
"""

import json
import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from sfic_bench.files import UnwritableOutput, write_bytes_atomically
from sfic_bench.measure.clock import Action
from sfic_bench.measure.failures import explained
from sfic_bench.measure.sampler import Contender
from sfic_bench.results.fields import label
from sfic_bench.results.timing import TimingRow
from sfic_bench.timing.machine import CallRecorder

CALL = "call"
"""The name of a call that cannot be made in parts."""

MEMORY_EVENT = "[memory]"
"""What torch calls each allocation and release in a trace."""

HISTORY = 1_000_000
"""Allocations and releases that a snapshot holds at most."""


class FolderRecorder(CallRecorder):
    """Writes one file for each row to ``folder``, which is made if it does not exist.

    Attributes:
        missed: the rows whose recording found no memory or failed in another way, with the reason; their times are not
            affected.

    Raises:
        UnwritableOutput: if the folder cannot be made or written to.
    """

    suffix: str

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make the folder {folder}: {error.strerror or error}") from error
        if not os.access(folder, os.W_OK):
            raise UnwritableOutput(f"cannot write to the folder {folder}: permission denied")
        self.folder = folder
        self.missed: dict[str, str] = {}
        self._stems: dict[str, int] = {}

    def record(self, row: TimingRow, contender: Contender, model: nn.Module | None) -> None:
        try:
            with _spans(model):
                content = self.recorded(label(row.key), actions_of(contender))
        except (RuntimeError, MemoryError) as error:  # what devices and their libraries raise
            self.missed[label(row.key)] = explained(error)
            return
        write_bytes_atomically(self.folder / f"{self._stem(row)}{self.suffix}", content)

    def recorded(self, title: str, actions: Mapping[str, Action]) -> bytes:
        """What the file of the row ``title`` holds, after one call of each of ``actions``."""
        raise NotImplementedError

    def _stem(self, row: TimingRow) -> str:
        """A file name that says which row it is of, such as ``resnet26-a0.5-b1-fused-batch-8``."""
        text = label(row.key).rpartition("/")[2].replace("α=", "a").replace("β=", "b").replace("×", "x")
        words = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else " " for c in text).split()
        stem = "-".join(words)
        count = self._stems[stem] = self._stems.get(stem, 0) + 1
        return stem if count == 1 else f"{stem}-{count}"


class TraceFolder(FolderRecorder):
    """A trace of torch's profiler: modules, operations with their shapes, kernels, and memory as a counter."""

    suffix = ".json"

    def recorded(self, title: str, actions: Mapping[str, Action]) -> bytes:
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities, profile_memory=True, record_shapes=True) as profiled:
            with record_function(_ascii(title)):
                for name, action in actions.items():
                    with record_function(name):
                        action()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            profiled.export_chrome_trace(str(path))
            trace = json.loads(path.read_text(encoding="utf-8"))
        trace["traceName"] = title
        trace["traceEvents"] = [_counted(event) for event in trace["traceEvents"]]
        return json.dumps(trace, ensure_ascii=False).encode()


class SnapshotFolder(FolderRecorder):
    """torch's memory snapshot of a CUDA device: every block, and each allocation with the code that asked for it."""

    suffix = ".pickle"

    def recorded(self, _title: str, actions: Mapping[str, Action]) -> bytes:
        memory = torch.cuda.memory
        memory._record_memory_history(max_entries=HISTORY, stacks="python")
        try:
            for action in actions.values():
                action()
            snapshot = memory._snapshot()
        finally:
            memory._record_memory_history(enabled=None)
        return pickle.dumps(snapshot)


def actions_of(contender: Contender) -> Mapping[str, Action]:
    """What is called, part by part where that is possible, and what follows each call."""
    return {**(contender.parts or {CALL: contender.run}), **contender.after}


def _counted(event: dict[str, object]) -> dict[str, object]:
    """An allocation or release as a step of a counter, which viewers draw as a curve; other events as they are."""
    arguments = event.get("args")
    if event.get("name") != MEMORY_EVENT or not isinstance(arguments, dict):
        return event
    device = "CPU" if arguments.get("Device Type") == 0 else f"CUDA {arguments.get('Device Id')}"
    allocated = {"bytes": arguments.get("Total Allocated", 0)}
    return {"ph": "C", "name": f"allocated on {device}", "pid": event["pid"], "ts": event["ts"], "args": allocated}


def _ascii(text: str) -> str:
    """``text`` without letters that torch's profiler does not take, for which it would write ``unknown``."""
    for letter, word in {"α": "alpha", "β": "beta", "×": "x"}.items():
        text = text.replace(letter, word)
    return text.encode("ascii", "replace").decode()


@contextmanager
def _spans(model: nn.Module | None) -> Iterator[None]:
    """Name what each module of ``model`` does in a trace, by its path and class, within the block."""
    open_spans: list[record_function] = []
    handles = []

    def enter(name: str, module: nn.Module) -> None:
        span = record_function(_ascii(f"{name} ({type(module).__name__})"))
        span.__enter__()  # type: ignore[no-untyped-call]
        open_spans.append(span)

    def leave() -> None:
        open_spans.pop().__exit__(None, None, None)

    try:
        for name, module in () if model is None else model.named_modules():
            if name:
                handles.append(module.register_forward_pre_hook(lambda m, _, name=name: enter(name, m)))
                handles.append(module.register_forward_hook(lambda *_: leave(), always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
