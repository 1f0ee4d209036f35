"""Sweeps in this process: which node runs which job, which results are kept, and the time that is left."""

import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.sweeps import COST, jobs_in, node, run_sweep
from msgspec import structs

from sfic_bench.errors import InvalidValue
from sfic_bench.sweeping import store as stores
from sfic_bench.sweeping.engines import EngineFailed, Local, Running
from sfic_bench.sweeping.jobs.job import Needs
from sfic_bench.sweeping.on_ray.engine import Waiting, with_less_memory
from sfic_bench.sweeping.plan import tasks_of
from sfic_bench.sweeping.progress import SweepProgress
from sfic_bench.sweeping.run import sweep
from sfic_bench.sweeping.store import Store, UnusableStore
from sfic_bench.sweeping.work import Task


def test_impossible_resources_are_named_at_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    jobs = jobs_in(tmp_path, COST + "gpus = 8\n")
    with pytest.raises(
        InvalidValue,
        match=r"cost of mobilenet, 256×256 needs 1 CPUs, 8 GPUs, and no node has that: n: 2 CPUs, 0 GPUs",
    ):
        tasks_of(jobs, [node()], store)
    assert len(tasks_of(jobs, [node()], store, may_grow=True)) == 3
    timed = jobs_in(tmp_path, '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\ndevice = "cuda"')
    two = [
        node(gpus=1, names=("NVIDIA A100",), resources={"accelerator_type:A100": 1}),
        node(gpus=1, names=("NVIDIA H100",)),
    ]
    with pytest.raises(
        InvalidValue, match="could be timed on NVIDIA A100 or on NVIDIA H100; choose, by accelerator_type"
    ):
        tasks_of(timed, two, store)
    chosen = [structs.replace(timed[0], needs=structs.replace(timed[0].needs, accelerator_type="A100"))]
    assert "A100" not in tasks_of(chosen, two, store)[0].device_kind  # Ray chooses the node
    blind = [node(gpus=1, resources={"accelerator_type:A100": 1})]
    with pytest.raises(
        InvalidValue,
        match="needs 1 CPUs, 1 GPUs, and no node has that: n: 2 CPUs, 1 GPUs, none of which torch finds",
    ):
        tasks_of(timed, blind, store)
    on_two = jobs_in(tmp_path, '[[accuracy]]\nbackbone = "mobilenet"\nhosts = 2\ncpus = 2')
    with pytest.raises(InvalidValue, match="needs 2 nodes with 2 CPUs each, and there are not so many: n: 2 CPUs"):
        tasks_of(on_two, [node()], store)
    with pytest.raises(InvalidValue, match="2 hosts share a run's folder: choose a folder, not a URL"):
        tasks_of(on_two, [node(), node()], Store("memory://x"))
    assert tasks_of(on_two, [node(), node()], store)[0].threads == 2
    old = replace(node(), facts=replace(node().facts, torch="1"))
    with pytest.raises(
        EngineFailed, match=r"nodes differ: n has sfic-bench .* torch 2; n has .* torch 1: install the same"
    ):
        tasks_of(jobs, [node(), old], store)


@pytest.mark.parametrize("root", ["folder", "memory://sweep"])
def test_a_sweep_goes_on_and_extends(tmp_path: Path, root: str) -> None:
    store = Store(root if "://" in root else str(tmp_path / root))
    engine = Local()
    first = tasks_of(jobs_in(tmp_path, COST), engine.nodes, store)
    progress = sweep(first, engine, store, lambda _: None)
    assert progress.done == {"cost": 3} and not progress.failed and progress.ended == {"cost": 3}
    kept = {key: store.read_bytes(f"results/{key}.json") for key in store.keys("results")}
    more = tasks_of(jobs_in(tmp_path, COST.replace("0.5, 1.0", "0.5, 0.75, 1.0")), engine.nodes, store)
    progress = sweep(more, engine, store, lambda _: None)
    assert progress.done == {"cost": 4} and progress.ended == {"cost": 1}  # one cell is new
    assert all(store.read_bytes(f"results/{key}.json") == document for key, document in kept.items())
    beside = ".results.json.a1b2c3d4" if store.is_local else "results.json.a1b2c3d4.part"
    store.write_bytes(f"results/{beside}", b"{")  # as a killed process leaves it
    sweep(more, engine, store, lambda _: None)
    assert not store.has(f"results/{beside}") and len(store.keys("results")) == 4
    store.write_bytes("x.json", b"{}")
    assert not store.has("y.json") and store.read_bytes("y.json") is None
    store.remove("x.json", "y.json")
    assert not store.has("x.json")


def test_results_of_two_machines_merge(tmp_path: Path) -> None:
    engine = Local()
    for folder, betas in (("a", "0.5"), ("b", "1.0")):
        half = jobs_in(tmp_path, COST.replace("0.5, 1.0", betas))
        store = Store(str(tmp_path / folder))
        sweep(tasks_of(half, engine.nodes, store), engine, store, lambda _: None)
    shutil.copytree(tmp_path / "b" / "results", tmp_path / "a" / "results", dirs_exist_ok=True)
    both = Store(str(tmp_path / "a"))
    progress = sweep(tasks_of(jobs_in(tmp_path, COST), engine.nodes, both), engine, both, lambda _: None)
    assert progress.done == {"cost": 3} and not progress.ended


def test_jobs_that_wait_for_a_device_do_not_block_others(tmp_path: Path) -> None:
    text = (
        '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\nbatch_size = [1, 2, 3]\n'
        '[[latency]]\nbackbone = "mobilenet"\nalpha = "none"\nbatch_size = [1, 2, 3]\ndevice = "cuda"\n'
        '[[cost]]\nbackbone = "mobilenet"\nalpha = "none"\ninput_size = [32, 64, 96]\n'
    )
    nodes = [node(gpus=1, names=("NVIDIA A100",))]
    waiting = Waiting(tasks_of(jobs_in(tmp_path, text), nodes, Store(str(tmp_path))))
    given: Counter[object] = Counter()

    def taken(room: int) -> list[tuple[str, str]]:
        jobs: list[tuple[str, str]] = []
        for task in waiting.next(given, room):
            given[task.job.needs.shape] += 1
            jobs.append((task.job.command, task.job.device))
        return jobs

    on_cpu, on_gpu = ("latency", "cpu"), ("latency", "cuda")
    assert taken(2) == [on_cpu] * 2 + [on_gpu] * 2
    given[a_node := Needs(cpus=None).shape] -= 1
    assert taken(2) == [on_cpu]
    given[a_node] -= 1
    assert taken(9) == [on_gpu]  # counting waits until no cell wants a whole node any more
    given[a_node] -= 1
    assert taken(9) == [("cost", "cpu")] * 3 and not waiting


def test_a_task_that_ran_out_of_memory_is_given_less_to_do(tmp_path: Path) -> None:
    text = COST + '[[accuracy]]\nbackbone = "mobilenet"\nalpha = "none"\nbatch_size = 4\ncompression = "hq"\n'
    training, counting, *_ = tasks_of(jobs_in(tmp_path, text), [node()], Store(str(tmp_path)))
    sizes: list[int | None] = []
    given: Task | None = training
    while (given := given and with_less_memory(given, len(sizes) + 1)) is not None:
        sizes.append(given.batch_size)
        assert given.key == training.key
    assert sizes == [2, 1]
    assert [with_less_memory(counting, times) for times in (1, 2, 3)] == [counting, counting, None]


def test_time_left_is_by_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    progress = SweepProgress(engine="x", total=Counter(cost=100, accuracy=3), done=Counter(cost=10), started=800.0)
    progress.ended, progress.spent_s = Counter(cost=10), {"cost": 20.0}
    assert progress.seconds_left is None  # nobody knows yet what a training takes
    progress.done["accuracy"] = progress.ended["accuracy"] = 1
    progress.spent_s["accuracy"] = 180.0
    # 90 × 2 s and 2 × 180 s, one after another as so far.
    assert progress.seconds_left == pytest.approx(540.0)
    # One job has 80 of its 180 s left, and 1.5 jobs have run at a time.
    progress.running = {"a": Running(command="accuracy", title="accuracy of a", host="n", since=900.0)}
    assert progress.seconds_left == pytest.approx((540.0 - 100.0) / 1.5)
    # A training that has run for 300 s is a better estimate of the next than one that took 180 s.
    progress.running = {"a": Running(command="accuracy", title="accuracy of a", host="n", since=700.0)}
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


def test_unusable_stores() -> None:
    with pytest.raises(UnusableStore, match="Protocol not known: nosuch"):
        Store("nosuch://x").keys("results")


def test_a_damaged_result_is_computed_again(tmp_path: Path) -> None:
    assert run_sweep(tmp_path, COST)[0] == 0
    results = tmp_path / "out" / "results"
    whole = {path.name: path.read_bytes() for path in results.iterdir()}
    damaged = sorted(whole)[1]
    (results / damaged).write_bytes(whole[damaged][: len(whole[damaged]) // 2])
    status, _, err = run_sweep(tmp_path, COST)
    assert status == 0 and "1 results in" in err and f"such as {damaged.removesuffix('.json')}" in err
    assert len(list(results.iterdir())) == len(whole) and (tmp_path / "out" / "damaged" / damaged).stat().st_size
    assert run_sweep(tmp_path, COST)[2].count("cannot be read") == 0


def test_a_damaged_state_says_what_to_do(tmp_path: Path) -> None:
    assert run_sweep(tmp_path, COST)[0] == 0
    (tmp_path / "out" / "state" / "driver.json").write_text("{}")
    status, _, err = run_sweep(tmp_path, COST)
    assert status == 2 and "remove the file and run the sweep again" in err
