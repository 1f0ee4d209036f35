"""Sweeps on a real Ray cluster give the results of one process, and lose none with a node or the driver."""

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.command import TIMEOUT_S
from helpers.sweeps import start_sweep, training_data, wait_for_end, write_sweep

from sfic_bench.sweeping.engines import EngineFailed
from sfic_bench.sweeping.on_ray import OnRay

COSTS = "[[cost]]\nbackbone = {}\nalpha = [0.25, 0.5, 0.75]\nbeta = [0.25, 0.5, 0.75, 1.0]\n"
FOUR = '["mobilenet", "resnet26", "vgg13", "alexnet"]'
TRAININGS = """[[accuracy]]
backbone = "mobilenet"
alpha = 0.5
beta = 1.0
data = ["images/m.csv"]
seeds = [7, 8, 9]
epochs = 2
batch_size = 8
input_size = 32
"""
TIMINGS = """[[latency]]
backbone = "mobilenet"
alpha = 0.5
beta = [0.25, 0.5, 0.75, 1.0]
path = "reference"
batch_size = 1
input_size = 48
max_seconds = 3
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    training_data(tmp_path)
    return tmp_path


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in (folder / "results").glob("*.json")}


def deterministic(document: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in document.items() if k not in ("environment", "cell")}


def wait_for(folder: Path, count: int, within_s: float = TIMEOUT_S) -> dict[Path, int]:
    """Wait for ``count`` results; returns each file and when it was written."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        times = {path: path.stat().st_mtime_ns for path in (folder / "results").glob("*.json")}
        if len(times) >= count:
            return times
        time.sleep(0.05)
    raise AssertionError(f"only {len(times)} results within {within_s} s")


def test_two_nodes_find_what_one_process_finds(cluster: Any, data: Path) -> None:
    spec = write_sweep(data, COSTS.format(FOUR) + TRAININGS)
    status, out, err = wait_for_end(start_sweep(spec, data / "ray", "--address", cluster.address))
    assert status == 0, err
    status, _, err = wait_for_end(start_sweep(spec, data / "local", "--engine", "local"))
    assert status == 0, err
    on_ray, local = documents(data / "ray"), documents(data / "local")
    assert len(on_ray) == 52 + 6 and on_ray.keys() == local.keys()
    for name, document in on_ray.items():
        assert deterministic(document) == deterministic(local[name])
    weights = sorted(path.relative_to(data / "ray") for path in (data / "ray" / "runs").rglob("model.safetensors"))
    assert len(weights) == 6
    for path in weights:
        assert (data / "ray" / path).read_bytes() == (data / "local" / path).read_bytes()
    for name in ("cost.json", "accuracy.json"):
        one, two = (json.loads((data / folder / name).read_text()) for folder in ("ray", "local"))
        assert one["rows"] == two["rows"]
    assert "of" in out and "Ray at 127.0.0.1" in out


def test_a_lost_node_costs_no_finished_cell(cluster_to_lose: Any, tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, COSTS.format('["densenet121", "resnet152", "resnet101", "efficientnet_b0"]'))
    process = start_sweep(spec, tmp_path / "out", "--address", cluster_to_lose.address)
    before = wait_for(tmp_path / "out", 8)
    lost = next(iter(cluster_to_lose.worker_nodes))
    for part in lost.all_processes.values():
        for started in part:
            os.kill(started.process.pid, signal.SIGKILL)
    status, out, err = wait_for_end(process)
    assert status == 0, out + err
    assert len(documents(tmp_path / "out")) == 4 * 13 and len(before) < 4 * 13
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_killed_driver_repeats_no_finished_cell(cluster: Any, tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, COSTS.format('["densenet121", "resnet101", "efficientnet_b0"]'))
    process = start_sweep(spec, tmp_path / "out", "--address", cluster.address)
    wait_for(tmp_path / "out", 8)
    process.kill()
    process.communicate()
    time.sleep(2)  # Ray ends the tasks of a driver that is gone
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "results").glob("*.json")}
    assert 8 <= len(before) < 39
    status, _, err = wait_for_end(start_sweep(spec, tmp_path / "out", "--address", cluster.address))
    assert status == 0, err
    assert len(documents(tmp_path / "out")) == 39
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list((tmp_path / "out").rglob(".*"))  # nothing half-written is left


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_stops_and_keeps_its_results(cluster: Any, tmp_path: Path, sent: signal.Signals) -> None:
    spec = write_sweep(tmp_path, COSTS.format('["densenet121", "resnet101", "efficientnet_b0"]'))
    process = start_sweep(spec, tmp_path / "out", "--address", cluster.address)
    wait_for(tmp_path / "out", 4)
    process.send_signal(sent)
    status, _, err = wait_for_end(process, within_s=30)
    assert status == 130 and "the same command goes on" in err and "Traceback" not in err
    kept = len(documents(tmp_path / "out"))
    time.sleep(3)
    assert len(documents(tmp_path / "out")) == kept  # nothing was computed after the end


def test_through_rays_client(cluster: Any, tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, COSTS.format('"mobilenet"'))
    status, out, err = wait_for_end(start_sweep(spec, tmp_path / "out", "--address", cluster.client))
    assert status == 0, out + err
    assert len(documents(tmp_path / "out")) == 13 and f"Ray at {cluster.client}" in out


@pytest.mark.parametrize(("address", "tries"), [("ray://127.0.0.1:1", 3), ("127.0.0.1:1", 1)])
def test_joining_through_rays_client_is_tried_again(address: str, tries: int) -> None:
    class Ray:
        calls = 0

        def init(self, **_: object) -> None:
            self.calls += 1
            raise ConnectionAbortedError("Initialization failure from server:\n  File …\nRuntimeError: a child died\n")

        def shutdown(self) -> None:
            pass

    engine = OnRay.__new__(OnRay)
    engine._ray = Ray()
    with pytest.raises(EngineFailed, match="RuntimeError: a child died"):
        engine._join(address)
    assert engine._ray.calls == tries


def test_impossible_jobs_are_refused_at_once(cluster: Any, tmp_path: Path) -> None:
    text = COSTS.format('"vgg13"')
    for more, said in (
        ("gpus = 8\n", "8 GPUs, and no node has that"),
        ("cpus = 2\n", "2 CPUs, and no node has that"),
    ):
        started = time.monotonic()
        status, _, err = wait_for_end(
            start_sweep(write_sweep(tmp_path, text + more), tmp_path / "out", "--address", cluster.address)
        )
        assert status == 2 and said in err and "127.0.0.1): 1 CPUs" in err
        assert time.monotonic() - started < 60


def test_an_address_where_no_cluster_is(tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, COSTS.format('"vgg13"'))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and answers none
        port = silent.getsockname()[1]
        for address, said in (
            (f"127.0.0.1:{port}", "no Ray cluster answers"),
            ("127.0.0.1:9", "Connection refused"),
        ):
            started = time.monotonic()
            status, _, err = wait_for_end(start_sweep(spec, tmp_path / "out", "--address", address), within_s=60)
            assert status == 2 and said in err and "Traceback" not in err
            assert time.monotonic() - started < 30


def test_a_training_on_two_hosts_is_one_on_two_devices(cluster: Any, data: Path) -> None:
    text = TRAININGS.replace("alpha = 0.5", 'alpha = "none"').replace("[7, 8, 9]", "7")
    for folder, more, where in (
        ("hosts", "hosts = 2\n", ("--address", cluster.address)),
        ("devices", "devices = 2\n", ("--engine", "local")),
    ):
        status, out, err = wait_for_end(start_sweep(write_sweep(data, text + more), data / folder, *where))
        assert status == 0, out + err
    (on_hosts,), (on_devices,) = documents(data / "hosts").values(), documents(data / "devices").values()
    assert on_hosts["rows"] == on_devices["rows"]
    one, two = (next((data / f).rglob("model.safetensors")).read_bytes() for f in ("hosts", "devices"))
    assert one == two
    # An image that a process on any host cannot read is reported as wrong input.
    os.truncate(data / "images" / "train003.png", 0)
    other = write_sweep(data, text.replace("= 7", "= 8") + "hosts = 2\n")
    status, out, err = wait_for_end(start_sweep(other, data / "hosts", "--address", cluster.address))
    assert status == 1 and "train003.png" in err and "input" in out, out + err


def test_a_timed_cell_has_its_node_to_itself(cluster: Any, tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, TIMINGS + COSTS.format('["mobilenet", "vgg13"]'))
    status, out, err = wait_for_end(start_sweep(spec, tmp_path / "out", "--address", cluster.address))
    assert status == 0, out + err
    cells = [document["cell"] for document in documents(tmp_path / "out").values()]
    times = [(c["started"], c["started"] + c["seconds"], c["node"], "path" in str(c["asked"])) for c in cells]
    for start_s, end_s, node, timed in times:
        if timed:
            beside = [t for t in times if t[2] == node and t[0] < end_s and t[1] > start_s]
            assert len(beside) == 1, "another cell ran on this node meanwhile"
    assert len({node for *_, node, timed in times if timed}) == 2
