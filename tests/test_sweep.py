"""Sweeps in this process: what a file asks for, keys, what is kept, what fails. Ray's part is in tests/cluster."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_compare import run
from test_train import pictures

from sfic_bench.data.manifest import write_manifest
from sfic_bench.errors import InvalidValue
from sfic_bench.report.records import read
from sfic_bench.sweep import run as driver
from sfic_bench.sweep import store as stores
from sfic_bench.sweep import training, work
from sfic_bench.sweep.cell import Cell, Needs, code_version
from sfic_bench.sweep.collect import collect
from sfic_bench.sweep.engines import EngineFailed, Local, Node, Running
from sfic_bench.sweep.on_ray.engine import Waiting, with_less_memory
from sfic_bench.sweep.run import Progress, sweep, tasks_of
from sfic_bench.sweep.spec import BadSweep, read_sweep
from sfic_bench.sweep.store import Store, UnusableStore
from sfic_bench.sweep.work import Facts, Task, is_machine

COST = '[[cost]]\nbackbone = "mobilenet"\nalpha = 0.5\nbeta = [0.5, 1.0]\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "spec.toml"
    path.write_text(text)
    return path


def cells(folder: Path, text: str) -> list[Cell]:
    return read_sweep(written(folder, text))


def test_a_block_is_the_product_of_its_axes(tmp_path: Path) -> None:
    found = cells(
        tmp_path,
        '[[cost]]\nbackbone = "all"\n[[cost]]\nbackbone = "mobilenet"\nalpha = "none"\ninput_size = [64, 96]',
    )
    assert len(found) == 11 * 13 + 2
    assert [c.asked["input_size"] for c in found[-2:]] == [64, 96] and found[-1].asked["alpha"] is None


def test_a_timed_cell_is_one_network_beside_vanilla(tmp_path: Path) -> None:
    text = '[[latency]]\nbackbone = ["mobilenet", "xception"]\n{}batch_size = [1, 4]\npath = ["fused", "compiled"]'
    found = cells(tmp_path, text.format("alpha = 0.5\nbeta = [0.5, 1]\n"))
    assert [(c.network, c.asked["batch_size"]) for c in found[:3]] == [
        ("mobilenet α=0.5 β=0.5", 1), ("mobilenet α=0.5 β=0.5", 4), ("mobilenet α=0.5 β=1", 1)
    ]  # fmt: skip
    assert len(found) == 8 and all(
        c.needs.cpus is None and c.asked["paths"] == ["fused", "compiled"] for c in found
    )
    assert len(cells(tmp_path, text.format('alpha = "none"\n'))) == 4
    on_gpus = cells(
        tmp_path, text.format('alpha = "none"\ndevice = "cuda"\naccelerator_type = ["A100", "H100"]\n')
    )
    assert [(c.needs.gpus, c.needs.accelerator_type) for c in on_gpus[:2]] == [(1, "A100"), (1, "H100")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[cost]]\nbacbone = "vgg13"', r"\[\[cost\]\] 1: unknown key 'bacbone'; did you mean 'backbone'"),
        ('[[costs]]\nbackbone = "vgg13"', "unknown block 'costs'; did you mean 'cost'"),
        ('[cost]\nbackbone = "vgg13"', r"write \[\[cost\]\], not \[cost\]"),
        ('[[cost]]\nbackbone = "vgg14"', r"\[\[cost\]\] 1: unknown backbone 'vgg14'; did you mean"),
        ('[[cost]]\nbackbone = "vgg13"\n[[cost]]\nbackbone = []', r"\[\[cost\]\] 2: backbone is an empty list"),
        ('[[cost]]\nbackbone = "vgg13"\nalpha = []', "alpha is an empty list"),
        ('[[cost]]\nalpha = 0.5', "missing required field `backbone`"),
        ('[[cost]]\nbackbone = "vgg13"\nclasses = "two"', "Expected `int | array`, got `str`"),
        ('[[cost]]\nbackbone = "vgg13"\nalpha = 2', r"\[\[cost\]\] 1: alpha must lie in \[0, 1\], got 2"),
        ('[[cost]]\nbackbone = ["vgg13", "vgg13"]', "names a value twice"),
        ('[[cost]]\nbackbone = "vgg13"\ninput_size = [64, 64]', "input_size lists 64 twice"),
        (COST + COST, r"\[\[cost\]\] 1 and .*\[\[cost\]\] 2: the cost of mobilenet, 256×256 is asked for twice"),
        ('[[cost]]\nbackbone = "vgg13"\ncpus = 0', "Expected `float` > 0"),
        ('[[latency]]\nbackbone = "vgg13"\npath = "fast"', "unknown execution path 'fast'"),
        ('[[latency]]\nbackbone = "vgg13"\ndevice = "cuda"\ngpus = 0.5', "shares no GPU"),
        ('[[latency]]\nbackbone = "vgg13"\ncpus = 1', "takes the whole node"),
        ('[[accuracy]]\nbackbone = "vgg13"\nlearning_rate = -1', r"\[\[accuracy\]\] 1: learning rate must lie"),
        ('[[accuracy]]\nbackbone = "vgg13"\ndata = ["no.csv"]', "cannot read the manifest .*no.csv"),
        ('[[accuracy]]\nbackbone = "vgg13"\ndevice = "cuda"\ndevices = 2\ngpus = 1', "devices = 2 asks for as many GPUs"),
        ("[[cost", "is no TOML"),
        ("", "asks for nothing"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_ask_for(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSweep, match=said):
        cells(tmp_path, text)


def test_a_key_is_of_what_determines_a_result(tmp_path: Path) -> None:
    (found, *_) = cells(tmp_path, COST)
    key = found.key("1", "2.13", "")
    assert key.startswith("cost-mobilenet-") and key == replace(
        found, block="elsewhere", needs=Needs(cpus=3)
    ).key("1", "2.13", "")
    assert (
        key != found.key("2", "2.13", "")
        and key != found.key("1", "2.6", "")
        and key != found.key("1", "2.13", "A100")
    )
    net = "def net():\n    from torch import nn\n    return nn.Sequential(nn.Conv2d(3, {}, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    keys = []
    for folder, channels in (("a", 4), ("b", 4), ("c", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(net.format(channels))
        (cell,) = cells(tmp_path / folder, '[[cost]]\nbackbone = "net.py:net"\nalpha = "none"')
        keys.append(cell.key("", "", ""))
    assert keys[0] == keys[1] != keys[2]  # by what is in the file, wherever it lies


def test_a_key_of_a_training_follows_its_manifest(tmp_path: Path) -> None:
    keys = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name / "images").mkdir(parents=True)
        write_manifest(
            pictures(tmp_path / name / "images", {"train": 4 + seed, "test": 4}),
            tmp_path / name / "images" / "m.csv",
        )
        text = '[[accuracy]]\nbackbone = "mobilenet"\nalpha = "none"\ndata = ["images/m.csv"]\ninput_size = 32\ncpus = {}'
        (cell,) = cells(tmp_path / name, text.format(1))
        keys.append(cell.key("", "", ""))
        (default,) = cells(tmp_path / name, text.replace("cpus = {}", ""))
        assert default.key("", "", "") == cell.key("", "", "")
        (two,) = cells(tmp_path / name, text.format(2))
        assert two.key("", "", "") != cell.key("", "", "")  # sums are in another order
    assert keys[0] == keys[1] != keys[2]


def node(**more: Any) -> Node:
    facts = Facts(
        host="n", code=code_version(), torch="2", processor="Z80", cpus=2, gpus=more.pop("names", ())
    )
    return Node(**{"name": "n", "cpus": 2, "gpus": 0, "resources": {}, "facts": facts} | more)


def test_impossible_resources_are_named_at_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    wanted = cells(tmp_path, COST + "gpus = 8\n")
    with pytest.raises(
        InvalidValue,
        match=r"cost of mobilenet, 256×256 needs 1 CPUs, 8 GPUs, and no node has that: n: 2 CPUs, 0 GPUs",
    ):
        tasks_of(wanted, [node()], store)
    assert len(tasks_of(wanted, [node()], store, may_grow=True)) == 3
    timed = cells(tmp_path, '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\ndevice = "cuda"')
    two = [
        node(gpus=1, names=("NVIDIA A100",), resources={"accelerator_type:A100": 1}),
        node(gpus=1, names=("NVIDIA H100",)),
    ]
    with pytest.raises(
        InvalidValue, match="could be timed on NVIDIA A100 or on NVIDIA H100; choose, by accelerator_type"
    ):
        tasks_of(timed, two, store)
    chosen = [replace(timed[0], needs=replace(timed[0].needs, accelerator_type="A100"))]
    assert "A100" not in tasks_of(chosen, two, store)[0].device_kind  # Ray sees to it
    blind = [node(gpus=1, resources={"accelerator_type:A100": 1})]
    with pytest.raises(
        InvalidValue,
        match="needs 1 CPUs, 1 GPUs, and no node has that: n: 2 CPUs, 1 GPUs, none of which torch finds",
    ):
        tasks_of(timed, blind, store)
    on_two = cells(tmp_path, '[[accuracy]]\nbackbone = "mobilenet"\nhosts = 2\ncpus = 2')
    with pytest.raises(
        InvalidValue, match="needs 2 nodes with 2 CPUs each, and there are not so many: n: 2 CPUs"
    ):
        tasks_of(on_two, [node()], store)
    with pytest.raises(InvalidValue, match="2 hosts share a run's folder: choose a folder, not a URL"):
        tasks_of(on_two, [node(), node()], Store("memory://x"))
    assert tasks_of(on_two, [node(), node()], store)[0].threads == 2
    old = replace(node(), facts=replace(node().facts, torch="1"))
    with pytest.raises(
        EngineFailed, match=r"nodes differ: n has sfic-bench .* torch 2; n has .* torch 1: install the same"
    ):
        tasks_of(wanted, [node(), old], store)


@pytest.mark.parametrize("root", ["folder", "memory://sweep"])
def test_a_sweep_goes_on_and_extends(tmp_path: Path, root: str) -> None:
    store = Store(root if "://" in root else str(tmp_path / root))
    engine = Local()
    first = tasks_of(cells(tmp_path, COST), engine.nodes, store)
    progress = sweep(first, engine, store, lambda _: None)
    assert progress.done == {"cost": 3} and not progress.failed and progress.ended == {"cost": 3}
    kept = {key: store.read(f"results/{key}.json") for key in store.keys("results")}
    more = tasks_of(cells(tmp_path, COST.replace("0.5, 1.0", "0.5, 0.75, 1.0")), engine.nodes, store)
    progress = sweep(more, engine, store, lambda _: None)
    assert progress.done == {"cost": 4} and progress.ended == {"cost": 1}  # one cell is new
    assert all(store.read(f"results/{key}.json") == document for key, document in kept.items())
    beside = ".results.json.a1b2c3d4" if store.is_local else "results.json.a1b2c3d4.part"
    store.write_bytes(f"results/{beside}", b"{")  # as a killed process leaves it
    sweep(more, engine, store, lambda _: None)
    assert not store.has(f"results/{beside}") and len(store.keys("results")) == 4
    store.write("x.json", {"a": 1})
    assert not store.has("y.json") and store.read("y.json") is None
    store.remove("x.json", "y.json")
    assert not store.has("x.json")


def test_results_of_two_machines_merge(tmp_path: Path) -> None:
    engine = Local()
    for folder, betas in (("a", "0.5"), ("b", "1.0")):
        half = cells(tmp_path, COST.replace("0.5, 1.0", betas))
        store = Store(str(tmp_path / folder))
        sweep(tasks_of(half, engine.nodes, store), engine, store, lambda _: None)
    shutil.copytree(tmp_path / "b" / "results", tmp_path / "a" / "results", dirs_exist_ok=True)
    both = Store(str(tmp_path / "a"))
    progress = sweep(tasks_of(cells(tmp_path, COST), engine.nodes, both), engine, both, lambda _: None)
    assert progress.done == {"cost": 3} and not progress.ended


def command(folder: Path, text: str, *more: str) -> tuple[int, str, str]:
    return run("sweep", written(folder, text), "--engine", "local", "-o", folder / "out", *more)


def test_the_command_and_what_it_collects(tmp_path: Path) -> None:
    status, out, err = command(tmp_path, COST)
    assert status == 0 and "cost.json" in err and "3" in out
    found = read(tmp_path / "out" / "cost.json")
    assert [r.key[:3] for r in found.rows] == [
        ("mobilenet", None, None),
        ("mobilenet", 0.5, 0.5),
        ("mobilenet", 0.5, 1.0),
    ]
    reference = tmp_path / "flops.json"
    assert (
        run(
            "flops",
            "--backbone",
            "mobilenet",
            "--alpha",
            ".5",
            "--beta",
            ".5,1",
            "--format",
            "json",
            "--output",
            reference,
        )[0]
        == 0
    )
    assert (
        json.loads(reference.read_text())["rows"]
        == json.loads((tmp_path / "out" / "cost.json").read_text())["rows"]
    )
    status, out, _ = run("sweep", "status", tmp_path / "out", "--format", "json")
    assert status == 0 and json.loads(out)["cells"] == [
        {"command": "cost", "done": 3, "running": 0, "failed": 0, "left": 0, "of": 3}
    ]
    assert run("sweep", "status", tmp_path)[0] == 2
    assert "unknown engine 'spark'" in command(tmp_path, COST, "--engine", "spark")[2]


TRAINING = """[[accuracy]]
backbone = "mobilenet"
alpha = "none"
data = ["images/m.csv"]
input_size = 32
epochs = 2
batch_size = 8
"""


def training_data(folder: Path, watermark: bool = True) -> None:
    (folder / "images").mkdir()
    found = pictures(folder / "images", {"train": 16, "val": 4, "test": 6}, watermark=watermark)
    write_manifest(found, folder / "images" / "m.csv")


def test_times_and_trainings_are_collected(tmp_path: Path) -> None:
    training_data(tmp_path)
    text = (
        TRAINING
        + "seeds = [7, 8]\n"
        + (
            '[[latency]]\nbackbone = "mobilenet"\nalpha = 0.5\nbeta = [0.5, 1.0]\npath = "reference"\nbatch_size = 2\ninput_size = 48\n'
            "max_seconds = 1\n"
        )
    )
    status, _, err = command(tmp_path, text)
    assert status == 0, err
    timed = read(tmp_path / "out" / "latency.json")
    assert [r.key[1:3] for r in timed.rows] == [(None, None), (0.5, 0.5), (0.5, 1.0)]
    assert [f.name for f in timed.families] == ["mobilenet α=0.5 β=0.5", "mobilenet α=0.5 β=1"]
    (row,) = read(tmp_path / "out" / "accuracy.json").accuracies
    assert row.seeds == 2 and row.frame_auc.value is not None
    threads = {
        json.loads(p.read_text())["cell"]["threads"]
        for p in (tmp_path / "out" / "results").glob("accuracy-*.json")
    }
    assert threads == {1} and torch.get_num_threads() >= 1


def test_a_failed_cell_keeps_its_log_and_stops_nothing(tmp_path: Path) -> None:
    training_data(tmp_path)
    os.truncate(tmp_path / "images" / "train003.png", 0)
    status, out, err = command(tmp_path, TRAINING + COST)
    assert status == 1 and "train003.png" in err and "failed/accuracy-mobilenet" in out
    (log,) = (tmp_path / "out" / "failed").glob("*.log")
    assert "UnreadableData" in log.read_text()
    told = json.loads(log.with_suffix(".json").read_text())
    assert told["cause"] == "input" and "train003.png" in told["reason"]
    status, out, _ = run("sweep", "status", tmp_path / "out", "--format", "json")
    by_command = {c["command"]: c for c in json.loads(out)["cells"]}
    assert by_command["accuracy"]["failed"] == 1 and by_command["cost"]["done"] == 3
    # Mended, it is tried again, and nothing else is.
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "results").glob("cost-*")}
    (tmp_path / "images" / "train003.png").write_bytes((tmp_path / "images" / "train004.png").read_bytes())
    assert command(tmp_path, TRAINING + COST)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before and not list(
        (tmp_path / "out" / "failed").iterdir()
    )


def test_too_little_memory_halves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training_data(tmp_path)
    real: Callable[..., Mapping[str, Any]] = training.document
    sizes = []

    def short_of_memory(cell: Cell, folder: Path, batch_size: int, *more: Any) -> Mapping[str, Any]:
        sizes.append(batch_size)
        if batch_size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(cell, folder, batch_size, *more)

    monkeypatch.setattr(training, "document", short_of_memory)
    assert command(tmp_path, TRAINING)[0] == 0 and sizes == [8, 4, 2]
    (result,) = (tmp_path / "out" / "results").iterdir()
    told = json.loads(result.read_text())["cell"]
    assert told["note"] == "batch 2 instead of 8: out of memory" and told["run"].endswith("-batch2")


def test_a_broken_machine_is_tried_again_and_a_wrong_input_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def broken(*_: Any) -> Any:
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work, "_cost", broken)
    status, out, err = command(tmp_path, COST.replace("[0.5, 1.0]", "1.0"))
    assert status == 1 and len(tries) == 2 * 3 and "No space left" in err and "machine" in out
    monkeypatch.setattr(work, "_cost", lambda _: 1 / 0)
    tries.clear()
    status, out, err = command(tmp_path, COST.replace("[0.5, 1.0]", "1.0"))
    assert status == 1 and "ZeroDivisionError" in err and "defect" in out
    assert is_machine(torch.OutOfMemoryError("CUDA out of memory")) and is_machine(
        RuntimeError("CUDA error: ECC")
    )
    assert not is_machine(ValueError("x")) and not is_machine(OSError(2, "No such file"))


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = work._cost, []

    def pressed(cell: Cell) -> Any:
        calls.append(cell)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(cell)

    monkeypatch.setattr(work, "_cost", pressed)
    status, _, err = command(tmp_path, COST)
    assert status == 130 and "the same command goes on" in err
    assert len(list((tmp_path / "out" / "results").iterdir())) == 1
    assert command(tmp_path, COST)[0] == 0 and len(calls) == 4  # the one that was interrupted, and the third


def test_a_dead_driver_is_told_from_a_busy_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path, COST)
    file = tmp_path / "out" / "state" / "driver.json"
    (next((tmp_path / "out" / "results").iterdir())).unlink()
    told = json.loads(file.read_text()) | {"over": False, "updated": time.time() - 90}
    file.write_text(json.dumps(told))
    assert "it ended 1:30 ago" in run("sweep", "status", tmp_path / "out")[1]
    # One that wrote just now is at work, unless its process is gone.
    file.write_text(json.dumps(told | {"updated": time.time(), "host": "another"}))
    status, _, err = command(tmp_path, COST)
    assert status == 2 and f"another sweep's, driven from another (process {told['pid']})" in err
    file.write_text(json.dumps(told | {"updated": time.time(), "pid": 2**22 + 1}))
    assert command(tmp_path, COST)[0] == 0


def test_a_folder_of_its_own_on_a_node_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver.Store, "has", lambda *_: False)
    monkeypatch.setattr(driver, "ARRIVES_WITHIN_S", 0.1)
    assert "choose a folder that all nodes share" in command(tmp_path, COST)[2]


def test_times_of_two_devices_are_files_of_their_own(tmp_path: Path) -> None:
    text = '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\npath = "reference"\nbatch_size = [1, 2]\ninput_size = 32\nmax_seconds = 0.5\n'
    assert command(tmp_path, text)[0] == 0
    out = tmp_path / "out"
    assert {path.name for path in out.glob("*.json")} == {"latency.json", "latency-2.json"}  # two batch sizes
    assert command(tmp_path, text.replace("[1, 2]", "1"))[0] == 0
    assert {path.name for path in out.glob("*.json")} == {"latency.json"}  # nothing old is left
    environment = json.loads((out / "latency.json").read_text())["environment"]
    assert environment["nodes"] == [environment["node"]] and "argv" not in environment
    one = next((out / "results").glob("latency-*.json"))
    document = json.loads(one.read_text())
    document["environment"]["processor"] = "another"
    stored, store = dict(document), Store(str(tmp_path / "two"))
    store.write("results/a.json", json.loads(one.read_text()))
    store.write("results/b.json", stored)
    (cell,) = cells(tmp_path, text.replace("[1, 2]", "1"))
    (task,) = tasks_of([cell], Local().nodes, store)
    assert collect([replace(task, key="a"), replace(task, key="b")], store) == [
        "latency.json",
        "latency-2.json",
    ]
    assert read(tmp_path / "two" / "latency-2.json").environment["processor"] == "another"
    assert run("compare", tmp_path / "two" / "latency.json", tmp_path / "two" / "latency-2.json")[0] == 3
    status, _, err = run("report", *sorted((tmp_path / "two").glob("*.json")), "--format", "markdown")
    assert status == 0, err


def test_what_waits_for_a_device_keeps_no_others_from_theirs(tmp_path: Path) -> None:
    text = (
        '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\nbatch_size = [1, 2, 3]\n'
        '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\nbatch_size = [1, 2, 3]\ndevice = "cuda"\n'
        '[[cost]]\nbackbone = "mobilenet"\nalpha = "none"\ninput_size = [32, 64, 96]\n'
    )
    nodes = [node(gpus=1, names=("NVIDIA A100",))]
    waiting = Waiting(tasks_of(cells(tmp_path, text), nodes, Store(str(tmp_path))))
    given: Counter[object] = Counter()

    def taken(room: int) -> list[tuple[str, str]]:
        found = []
        for task in waiting.next(given, room):
            given[task.cell.needs.shape] += 1
            found.append((task.cell.command, task.cell.device))
        return found

    on_cpu, on_gpu = ("latency", "cpu"), ("latency", "cuda")
    assert taken(2) == [on_cpu] * 2 + [on_gpu] * 2
    given[a_node := Needs(cpus=None).shape] -= 1
    assert taken(2) == [on_cpu]
    given[a_node] -= 1
    assert taken(9) == [on_gpu]  # counting waits until no cell wants a whole node any more
    given[a_node] -= 1
    assert taken(9) == [("cost", "cpu")] * 3 and not waiting


def test_what_ray_ends_for_want_of_memory_is_done_with_less(tmp_path: Path) -> None:
    text = COST + '[[accuracy]]\nbackbone = "mobilenet"\nalpha = "none"\nbatch_size = 4\ncompression = "hq"\n'
    training, counting, *_ = tasks_of(cells(tmp_path, text), [node()], Store(str(tmp_path)))
    sizes = []
    given: Task | None = training
    while (given := given and with_less_memory(given, len(sizes) + 1)) is not None:
        sizes.append(given.batch_size)
        assert given.key == training.key
    assert sizes == [2, 1]
    assert [with_less_memory(counting, times) for times in (1, 2, 3)] == [counting, counting, None]


def test_time_left_is_by_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    progress = Progress(engine="x", total=Counter(cost=100, accuracy=3), done=Counter(cost=10), started=800.0)
    progress.ended, progress.spent_s = Counter(cost=10), {"cost": 20.0}
    assert progress.seconds_left is None  # nobody knows yet what a training takes
    progress.done["accuracy"] = progress.ended["accuracy"] = 1
    progress.spent_s["accuracy"] = 180.0
    # 90 × 2 s and 2 × 180 s, one after another as so far.
    assert progress.seconds_left == pytest.approx(540.0)
    # One has 80 of its 180 s left, and 1.5 have run at once.
    progress.running = {"a": Running(title="accuracy of a", host="n", since=900.0)}
    assert progress.seconds_left == pytest.approx((540.0 - 100.0) / 1.5)
    # One that has run for 300 s tells more of the next than one that took 180 s.
    progress.running = {"a": Running(title="accuracy of a", host="n", since=700.0)}
    assert progress.seconds_left == pytest.approx((180.0 + 300.0) / 2.5)


def test_a_run_at_a_url_is_sent_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SENT_EVERY_S", 0.05)
    store = Store("memory://running")
    with pytest.raises(KeyboardInterrupt), store.folder("runs/a") as folder:
        folder.mkdir()
        (folder / "metrics.jsonl").write_text("1")
        end = time.monotonic() + 10
        while not store.has("runs/a/metrics.jsonl") and time.monotonic() < end:
            time.sleep(0.05)
        assert store.has("runs/a/metrics.jsonl")
        (folder / "checkpoint.safetensors").write_text("2")
        raise KeyboardInterrupt
    with store.folder("runs/a") as folder:
        assert {path.name for path in folder.iterdir()} == {"metrics.jsonl", "checkpoint.safetensors"}
    with store.folder("runs/a", only="*.jsonl") as folder:
        assert [path.read_text() for path in folder.iterdir()] == ["1"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes where Linux lists them")
def test_nobody_trains_on_after_the_sweep_was_killed(tmp_path: Path) -> None:
    training_data(tmp_path)
    spec = written(tmp_path, TRAINING.replace("epochs = 2", "epochs = 200") + "devices = 2\n")
    call = [sys.executable, "-m", "sfic_bench", "sweep", spec, "--engine", "local", "-o", tmp_path / "out"]
    with subprocess.Popen(call, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        assert eventually(lambda: list((tmp_path / "out").rglob("metrics.jsonl")), 90)
        assert len(about(tmp_path)) >= 3  # the sweep, and two that train
        process.kill()
    assert eventually(lambda: not about(tmp_path), 30)


def about(folder: Path) -> list[str]:
    """Command lines of processes that name ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_text()
            found += [line] if str(folder) in line else []
    return found


def eventually(is_so: Callable[[], object], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.1)
    return False


def test_unusable_stores() -> None:
    with pytest.raises(UnusableStore, match="Protocol not known: nosuch"):
        Store("nosuch://x").keys("results")
