"""The command ``sweep``: what it writes, what it tries again, and what it keeps when it ends early."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.command import run_command as run
from helpers.sweeps import COST, TRAINING, jobs_in, run_sweep, training_data, write_sweep

from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.read import read
from sfic_bench.results.timing import TimingResult
from sfic_bench.sweeping import run as driver
from sfic_bench.sweeping.collect import collect
from sfic_bench.sweeping.engines import Local
from sfic_bench.sweeping.jobs import CostJob, TrainJob
from sfic_bench.sweeping.jobs.job import Done, Workplace
from sfic_bench.sweeping.plan import tasks_of
from sfic_bench.sweeping.store import Store
from sfic_bench.sweeping.work import is_machine

TIMING = """[[latency]]
backbone = "mobilenet"
{ratios}
path = "reference"
batch_size = {batch_size}
input_size = 48
max_seconds = 3
"""


def test_costs_are_collected_and_counted(tmp_path: Path) -> None:
    status, out, err = run_sweep(tmp_path, COST)
    assert status == 0 and "cost.json" in err and "3" in out
    costs = read(tmp_path / "out" / "cost.json")
    assert [r.key[:3] for r in costs.result.rows] == [
        ("mobilenet", None, None),
        ("mobilenet", 0.5, 0.5),
        ("mobilenet", 0.5, 1.0),
    ]
    reference = tmp_path / "flops.json"
    grid = ("--backbone", "mobilenet", "--alpha", ".5", "--beta", ".5,1")
    assert run("flops", *grid, "--format", "json", "--output", reference)[0] == 0
    assert json.loads(reference.read_text())["rows"] == json.loads((tmp_path / "out" / "cost.json").read_text())["rows"]
    status, out, _ = run("sweep", "status", tmp_path / "out", "--format", "json")
    assert status == 0 and json.loads(out)["cells"] == [
        {"command": "cost", "done": 3, "running": 0, "failed": 0, "left": 0, "of": 3}
    ]
    assert run("sweep", "status", tmp_path)[0] == 2
    assert "'spark' is not one of 'ray', 'local'" in run_sweep(tmp_path, COST, "--engine", "spark")[2]


def test_times_and_trainings_are_collected(tmp_path: Path) -> None:
    training_data(tmp_path)
    timing = TIMING.format(ratios="alpha = 0.5\nbeta = [0.5, 1.0]", batch_size=2)
    status, _, err = run_sweep(tmp_path, TRAINING + "seeds = [7, 8]\n" + timing)
    assert status == 0, err
    timed = read(tmp_path / "out" / "latency.json").result
    assert isinstance(timed, TimingResult)
    assert [r.key[1:3] for r in timed.rows] == [(None, None), (0.5, 0.5), (0.5, 1.0)]
    assert [f.name for f in timed.families] == ["mobilenet α=0.5 β=0.5", "mobilenet α=0.5 β=1"]
    trained = read(tmp_path / "out" / "accuracy.json").result
    assert isinstance(trained, AccuracyResult)
    (row,) = trained.rows
    assert row.seeds == 2 and row.frame_auc is not None
    threads = {
        json.loads(p.read_text())["cell"]["threads"] for p in (tmp_path / "out" / "results").glob("accuracy-*.json")
    }
    assert threads == {1} and torch.get_num_threads() >= 1


def test_a_failed_cell_keeps_its_log_and_stops_nothing(tmp_path: Path) -> None:
    training_data(tmp_path)
    os.truncate(tmp_path / "images" / "train003.png", 0)
    status, out, err = run_sweep(tmp_path, TRAINING + COST)
    assert status == 1 and "train003.png" in err and "failed/accuracy-mobilenet" in out
    (log,) = (tmp_path / "out" / "failed").glob("*.log")
    assert "UnusableData" in log.read_text()
    record = json.loads(log.with_suffix(".json").read_text())
    assert record["cause"] == "input" and "train003.png" in record["reason"]
    status, out, _ = run("sweep", "status", tmp_path / "out", "--format", "json")
    by_command = {c["command"]: c for c in json.loads(out)["cells"]}
    assert by_command["accuracy"]["failed"] == 1 and by_command["cost"]["done"] == 3
    # Once its input is mended the failed job is run again, and no other.
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "results").glob("cost-*")}
    (tmp_path / "images" / "train003.png").write_bytes((tmp_path / "images" / "train004.png").read_bytes())
    assert run_sweep(tmp_path, TRAINING + COST)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before and not list((tmp_path / "out" / "failed").iterdir())


def test_too_little_memory_halves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training_data(tmp_path)
    real, sizes = TrainJob.trained, []

    def short_of_memory(job: TrainJob, folder: Path, batch_size: int, workplace: Workplace) -> AccuracyResult:
        sizes.append(batch_size)
        if batch_size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(job, folder, batch_size, workplace)

    monkeypatch.setattr(TrainJob, "trained", short_of_memory)
    assert run_sweep(tmp_path, TRAINING)[0] == 0 and sizes == [8, 4, 2]
    (result,) = (tmp_path / "out" / "results").iterdir()
    record = json.loads(result.read_text())["cell"]
    assert record["note"] == "batch 2 instead of 8: out of memory" and record["run"].endswith("-batch2")


def test_only_failures_of_the_machine_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def broken(*_: Any) -> Any:
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CostJob, "run", broken)
    status, out, err = run_sweep(tmp_path, COST.replace("[0.5, 1.0]", "1.0"))
    assert status == 1 and len(tries) == 2 * 3 and "No space left" in err and "machine" in out
    monkeypatch.setattr(CostJob, "run", lambda *_: 1 / 0)
    tries.clear()
    status, out, err = run_sweep(tmp_path, COST.replace("[0.5, 1.0]", "1.0"))
    assert status == 1 and "ZeroDivisionError" in err and "defect" in out
    assert is_machine(torch.OutOfMemoryError("CUDA out of memory")) and is_machine(RuntimeError("CUDA error: ECC"))
    assert not is_machine(ValueError("x")) and not is_machine(OSError(2, "No such file"))


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = CostJob.run, []

    def pressed(job: CostJob, key: str, workplace: Workplace) -> Done:
        calls.append(job)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(job, key, workplace)

    monkeypatch.setattr(CostJob, "run", pressed)
    status, _, err = run_sweep(tmp_path, COST)
    assert status == 130 and "the same command goes on" in err
    assert len(list((tmp_path / "out" / "results").iterdir())) == 1
    assert run_sweep(tmp_path, COST)[0] == 0 and len(calls) == 4  # the one that was interrupted, and the third


def test_a_dead_driver_is_told_from_a_busy_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_sweep(tmp_path, COST)
    file = tmp_path / "out" / "state" / "driver.json"
    (next((tmp_path / "out" / "results").iterdir())).unlink()
    record = json.loads(file.read_text()) | {"over": False, "updated": time.time() - 90}
    file.write_text(json.dumps(record))
    assert "it ended 1:30 ago" in run("sweep", "status", tmp_path / "out")[1]
    # A driver that wrote just now is at work, unless its process is gone.
    file.write_text(json.dumps(record | {"updated": time.time(), "host": "another"}))
    status, _, err = run_sweep(tmp_path, COST)
    assert status == 2 and f"another sweep's, driven from another (process {record['pid']})" in err
    file.write_text(json.dumps(record | {"updated": time.time(), "pid": 2**22 + 1}))
    assert run_sweep(tmp_path, COST)[0] == 0


def test_a_folder_that_nodes_do_not_share_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "has", lambda *_: False)
    monkeypatch.setattr(driver, "ARRIVES_WITHIN_S", 0.1)
    assert "choose a folder that all nodes share" in run_sweep(tmp_path, COST)[2]


def test_times_of_two_devices_are_files_of_their_own(tmp_path: Path) -> None:
    one_batch, two_batches = (TIMING.format(ratios='alpha = "none"', batch_size=size) for size in ("1", "[1, 2]"))
    assert run_sweep(tmp_path, two_batches)[0] == 0
    out = tmp_path / "out"
    assert {path.name for path in out.glob("*.json")} == {"latency.json", "latency-2.json"}  # two batch sizes
    assert run_sweep(tmp_path, one_batch)[0] == 0
    assert {path.name for path in out.glob("*.json")} == {"latency.json"}  # nothing old is left
    environment = json.loads((out / "latency.json").read_text())["environment"]
    assert environment["nodes"] == [environment["node"]] and "argv" not in environment
    one = next((out / "results").glob("latency-*.json"))
    document = json.loads(one.read_text())
    document["environment"]["processor"] = "another"
    store = Store(str(tmp_path / "two"))
    store.write_bytes("results/a.json", one.read_bytes())
    store.write_bytes("results/b.json", json.dumps(document).encode())
    (job,) = jobs_in(tmp_path, one_batch)
    (task,) = tasks_of([job], Local().nodes, store)
    assert collect([replace(task, key="a"), replace(task, key="b")], store) == [
        "latency.json",
        "latency-2.json",
    ]
    assert read(tmp_path / "two" / "latency-2.json").environment.processor == "another"
    assert run("compare", tmp_path / "two" / "latency.json", tmp_path / "two" / "latency-2.json")[0] == 3
    status, _, err = run("report", *sorted((tmp_path / "two").glob("*.json")), "--format", "markdown")
    assert status == 0, err


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes where Linux lists them")
def test_trainings_end_with_a_killed_sweep(tmp_path: Path) -> None:
    training_data(tmp_path)
    spec = write_sweep(tmp_path, TRAINING.replace("epochs = 2", "epochs = 200") + "devices = 2\n")
    options: tuple[str | Path, ...] = (spec, "--engine", "local", "-o", tmp_path / "out")
    call = [sys.executable, "-m", "sfic_bench", "sweep", *options]
    with subprocess.Popen(call, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        assert eventually(lambda: list((tmp_path / "out").rglob("metrics.jsonl")), 90)
        assert len(command_lines(tmp_path)) >= 3  # the sweep, and two that train
        process.kill()
    assert eventually(lambda: not command_lines(tmp_path), 30)


def command_lines(folder: Path) -> list[str]:
    """Command lines of the running processes that name ``folder``."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_text())
    return [line for line in lines if str(folder) in line]


def eventually(condition: Callable[[], object], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_results_of_other_code_are_named(tmp_path: Path) -> None:
    """The results are as an older version wrote them: with another key and the request as one flat mapping."""
    assert run_sweep(tmp_path, COST)[0] == 0
    results = tmp_path / "out" / "results"
    for path in list(results.iterdir()):
        old = json.loads(path.read_text())
        del old["cell"]["code"], old["cell"]["torch"], old["cell"]["run"], old["cell"]["note"]
        key = path.stem.rpartition("-")[0] + "-0123456789abcdef"
        path.with_name(f"{key}.json").write_text(json.dumps(old | {"cell": old["cell"] | {"key": key}}))
        path.unlink()
    status, _, err = run_sweep(tmp_path, COST)
    assert status == 0 and "3 results" in err and "computed with other code" in err and "0123456789abcdef" in err
    assert len(list(results.iterdir())) == 6  # the old ones stay
    assert "other code" not in run_sweep(tmp_path, COST)[2]
    other = COST + "input_size = 64\n"  # a question of its own is no repetition
    assert "other code" not in run_sweep(tmp_path, other)[2]
