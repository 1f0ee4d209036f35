"""Traces and memory snapshots of single calls."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.command import run_command
from helpers.timings import MACHINE, SMALL, measure
from msgspec import structs
from torch import nn

from sfic_bench.files import UnwritableOutput
from sfic_bench.measure.sampler import Contender
from sfic_bench.results.timing import TimingRow
from sfic_bench.timing.machine import Machine
from sfic_bench.timing.recording import SnapshotFolder, TraceFolder

ROW = TimingRow(backbone="lab/nets.py:net", alpha=0.5, beta=1.0, path="fused", status="unavailable", batch_size=8)


class Named(nn.Module):
    """A network with a module in a module, one of which has a name that no profiler takes."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.add_module("größe", nn.Linear(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.get_submodule("größe")(self.block(x))  # type: ignore[no-any-return]


def test_every_row_has_a_trace_with_its_modules_parts_and_memory(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "traces"
    machine = Machine(clock=MACHINE.clock, recorders=[TraceFolder(folder)])
    measure(["reference", "compiled-freezing"], structs.replace(SMALL, training=True), machine=machine)
    assert {path.name for path in folder.iterdir()} == {
        "mobilenet-reference.json",
        "mobilenet-a0.5-b0.5-reference.json",
    }
    trace = json.loads((folder / "mobilenet-a0.5-b0.5-reference.json").read_text(encoding="utf-8"))
    names = {event["name"] for event in trace["traceEvents"]}
    assert {"mobilenet alpha=0.5 beta=0.5 reference", "forward", "backward", "optimiser"} <= names
    assert {"features.0.0 (Conv2d)", "features.2.0 (Stage2)", "aten::convolution"} <= names and "unknown" not in names
    memory = [event for event in trace["traceEvents"] if event["ph"] == "C"]
    assert {event["name"] for event in memory} == {"allocated on CPU"} and "[memory]" not in names
    assert max(event["args"]["bytes"] for event in memory) > min(event["args"]["bytes"] for event in memory) > 0
    assert trace["traceName"] == "mobilenet α=0.5 β=0.5 reference"


def test_spans_nest_and_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model, x = Named(), torch.randn(2, 3)
    recorder = TraceFolder(tmp_path)
    recorder.record(ROW, Contender(run=lambda: model(x)), model)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    events = json.loads((tmp_path / "nets.py-net-a0.5-b1-fused-batch-8.json").read_text(encoding="utf-8"))[
        "traceEvents"
    ]
    spans = {e["name"]: (e["ts"], e["ts"] + e["dur"]) for e in events if e.get("cat") == "user_annotation"}
    outer, inner = spans["block (Sequential)"], spans["block.0 (Linear)"]
    assert outer[0] <= inner[0] and inner[1] <= outer[1]
    assert "gr??e (Linear)" in spans and "call" in spans


def test_equal_names_do_not_replace_each_other(tmp_path: Path) -> None:
    recorder = TraceFolder(tmp_path)
    for place in ("one", "two"):
        recorder.record(structs.replace(ROW, backbone=f"{place}/nets.py:net"), Contender(run=lambda: None), None)
    stem = "nets.py-net-a0.5-b1-fused-batch-8"
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.json", f"{stem}-2.json"}


def test_a_call_that_fails_leaves_no_file_and_no_hooks(tmp_path: Path) -> None:
    model = Named()

    def fails() -> None:
        model(torch.randn(2, 3))
        raise torch.OutOfMemoryError("tried to allocate 1 TiB")

    recorder = TraceFolder(tmp_path)
    recorder.record(ROW, Contender(run=fails), model)
    assert list(tmp_path.iterdir()) == []
    assert recorder.missed == {"lab/nets.py:net α=0.5 β=1 fused, batch 8": "out of memory: tried to allocate 1 TiB"}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_snapshot_is_of_one_call_and_history_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """torch's recording of memory on a CUDA device, by a fake."""
    calls: list[str] = []

    def history(enabled: object = "all", **settings: Any) -> None:
        calls.append("off" if enabled is None else f"on, {settings['stacks']}")

    def snapshot() -> dict[str, object]:
        calls.append("snapshot")
        return {"segments": [], "device_traces": [list(calls)]}

    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", history)
    monkeypatch.setattr(torch.cuda.memory, "_snapshot", snapshot)
    recorder = SnapshotFolder(tmp_path)
    recorder.record(
        ROW, Contender(run=lambda: calls.append("call"), after={"step": lambda: calls.append("step")}), None
    )
    assert calls == ["on, python", "call", "step", "snapshot", "off"]
    kept = pickle.loads((tmp_path / "nets.py-net-a0.5-b1-fused-batch-8.pickle").read_bytes())
    assert kept == {"segments": [], "device_traces": [calls[:4]]}

    def fails() -> None:
        raise torch.OutOfMemoryError("none left")

    recorder.record(ROW, Contender(run=fails), None)
    assert calls[-2:] == ["on, python", "off"] and len(recorder.missed) == 1


def test_folders_that_cannot_be_used_are_named_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(UnwritableOutput, match="cannot make the folder"):
        TraceFolder(file)
    status, _, err = run_command("latency", "--profile", str(file))
    assert status == 2 and "cannot make the folder" in err and file.read_text() == "kept"
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for a user who is no superuser
    with pytest.raises(UnwritableOutput, match="permission denied"):
        TraceFolder(tmp_path)


def test_a_cpu_has_no_memory_snapshot(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    status, out, err = run_command("latency", "--memory-snapshot", str(folder))
    assert status == 2 and out == "" and not folder.exists()
    assert "--memory-snapshot needs a CUDA device" in err and "--profile FOLDER" in err
