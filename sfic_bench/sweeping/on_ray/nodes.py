"""What Ray runs on nodes: tasks, the board of running tasks, and torchrun on each host of a training on several."""

import os
from functools import partial
from pathlib import Path
from typing import Any

from sfic_bench.errors import first_line
from sfic_bench.measure.conditions import Device
from sfic_bench.sweeping.engines import Running
from sfic_bench.sweeping.jobs import TrainJob
from sfic_bench.sweeping.jobs.job import Needs, Workplace
from sfic_bench.sweeping.launch import Host, free_address
from sfic_bench.sweeping.store import Store
from sfic_bench.sweeping.work import JobOutcome, MachineFailure, NodeFacts, Task, facts_of_this_node, run_job, set_up


class Board:
    """A Ray actor to which nodes write what they are running."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}

    def start(self, key: str, running: Running) -> None:
        self.running[key] = running

    def rate(self, key: str, images_per_s: float) -> None:
        if key in self.running:
            self.running[key].images_per_s = images_per_s

    def end(self, key: str) -> None:
        self.running.pop(key, None)

    def now(self) -> dict[str, Running]:
        return self.running


def node_facts() -> NodeFacts:
    """`facts_of_this_node` with all GPUs, which some releases of Ray hide from a task that asks for none."""
    if not os.environ.get("CUDA_VISIBLE_DEVICES", "all"):
        del os.environ["CUDA_VISIBLE_DEVICES"]
    return facts_of_this_node(gpus=True)


def run_task(task: Task, board: Any) -> JobOutcome:
    """Run a task on a node, and show meanwhile on the `Board` that it is running."""
    import ray

    job, host = task.job, facts_of_this_node().host
    board.start.remote(task.key, Running(command=job.command, title=str(job), host=host))
    try:
        node = ray.get_runtime_context().get_node_id()
        report_rate = partial(board.rate.remote, task.key)
        return run_job(task, report_rate, node, partial(RayPeerHosts, task))
    finally:
        board.end.remote(task.key)


class RayPeerHosts:
    """`PeerHosts` of which each is a Ray task in its own place of the training's placement group."""

    def __init__(self, task: Task, folder: Path, batch_size: int) -> None:
        import ray
        from ray.util import get_current_placement_group, get_node_ip_address
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._ray = ray
        self.address = free_address(get_node_ip_address())
        needs, group = task.job.needs, get_current_placement_group()
        remote = ray.remote(max_retries=0, max_calls=1)(_train_on_host)
        self._refs = [
            remote.options(
                name=f"{task.job}, host {rank}",
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
                **ray_options(needs, needs.cpus),
            ).remote(task, folder, batch_size, Host(rank=rank, address=self.address))
            for rank in range(1, needs.hosts)
        ]

    def check(self, wait_s: float = 0) -> None:
        done, late = self._ray.wait(self._refs, num_returns=len(self._refs), timeout=wait_s)
        for ref in done:
            try:
                self._ray.get(ref)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                raise MachineFailure(f"a host of several was lost: {first_line(error)}") from None
        if late and wait_s:
            raise MachineFailure(f"{len(late)} of the other hosts have not ended after {wait_s:g} s")

    def stop(self) -> None:
        for ref in self._refs:
            self._ray.cancel(ref, force=True)


def _train_on_host(task: Task, folder: Path, batch_size: int, host: Host) -> None:
    assert isinstance(task.job, TrainJob), "no other job takes several hosts"
    workplace = Workplace(folder=Store(task.root).folder, threads=task.threads, report_rate=lambda _: None)
    with set_up(task, facts_of_this_node(gpus=task.job.device is Device.CUDA)):
        task.job.train_on_host(folder, batch_size, host, workplace)


def ray_options(needs: Needs, cpus: float | None) -> dict[str, Any]:
    """The options of a Ray task that say what it needs."""
    return {
        "num_cpus": cpus, "num_gpus": needs.gpus, "accelerator_type": needs.accelerator_type,
        "resources": needs.resources or None,
    }  # fmt: skip


def bundle(needs: Needs) -> dict[str, float]:
    """What one place of a placement group must have, by Ray's names."""
    amounts = {"CPU": needs.cpus or 0, "GPU": needs.gpus, **needs.named}
    return {name: amount for name, amount in amounts.items() if amount}
