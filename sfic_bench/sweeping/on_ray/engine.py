"""The engine that runs a sweep's tasks on a Ray cluster."""

import logging
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from sfic_bench.errors import MissingDependency, first_line
from sfic_bench.extras import install_command
from sfic_bench.sweeping.engines import RETRIES, EngineFailed, Node, Running
from sfic_bench.sweeping.jobs import AnyJob, TrainJob
from sfic_bench.sweeping.jobs.job import Needs
from sfic_bench.sweeping.on_ray.address import CLIENT, check_reachable, last_line
from sfic_bench.sweeping.on_ray.nodes import Board, bundle, node_facts, ray_options, run_task
from sfic_bench.sweeping.work import JobOutcome, MachineFailure, Task

ANSWERED_WITHIN_S = 120.0
POLLED_EVERY_S = 1.0
AHEAD, LEAST_AHEAD = 4, 16
"""How many tasks of a shape Ray is given for each core, and at least: enough that no node waits for the driver."""


@dataclass(frozen=True, slots=True)
class _Submitted:
    """A task that Ray was given, and its placement group if it needs several nodes."""

    task: Task
    group: Any = None


class Waiting:
    """The tasks that Ray has not been given yet, by the shape of their needs, so that no shape holds up another."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._queues: dict[object, tuple[Needs, deque[Task]]] = {}
        for task in tasks:
            self.put(task)

    def __bool__(self) -> bool:
        return any(queue for _, queue in self._queues.values())

    def put(self, task: Task) -> None:
        needs = task.job.needs
        self._queues.setdefault(needs.shape, (needs, deque()))[1].append(task)

    def next(self, given: Mapping[object, int], room: int) -> Iterator[Task]:
        """Remove and yield tasks until Ray has ``room`` of each shape; it has been ``given`` some already.

        Tasks that need no GPU wait until all tasks that take a whole node are done, because no node would ever be free
        among small tasks.
        """
        a_node_is_needed = False
        for shape, (needs, queue) in self._queues.items():
            takes_a_node = needs.cpus is None
            if a_node_is_needed and not needs.gpus and not takes_a_node:
                continue
            a_node_is_needed |= takes_a_node and bool(queue or given[shape])
            while queue and given[shape] < room:
                yield queue.popleft()


def with_less_memory(task: Task, times: int) -> Task | None:
    """The task to do after Ray has ended ``task`` for lack of memory, the ``times``-th time; ``None`` for none.

    A training is repeated with half the batch size. Other tasks are repeated as they are, because another job may have
    taken the memory.
    """
    if not isinstance(task.job, TrainJob):
        return task if times <= RETRIES else None
    smaller = task.job.smaller_batch(task.batch_size)
    return None if smaller is None else replace(task, batch_size=smaller)


class OnRay:
    """The engine of a Ray cluster, or of Ray on this machine alone.

    Args:
        address: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; ``None`` starts Ray on this machine.

    Raises:
        MissingDependency: without the extra ``ray``.
        EngineFailed: if there is no cluster, or a node does not answer or lacks sfic-bench.
    """

    def __init__(self, address: str | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # no forked process uses gRPC
        # By default Ray repeats a task that its memory monitor has ended, again and again, with the same batch.
        os.environ["RAY_task_oom_retries"] = "0"  # noqa: SIM112 - Ray's own spelling
        if address is None:
            # With this setting, Ray on one machine listens only to that machine.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise MissingDependency(f"this engine needs ray: {install_command('ray')}, or --engine local") from None
        self._ray: Any = ray
        self.name = "Ray on this machine" if address is None else f"Ray at {address}"
        if address is not None:
            check_reachable(address)
        self._join(address)
        self._submitted: dict[Any, _Submitted] = {}
        self._shapes: Counter[object] = Counter()
        self._memory_failures: Counter[str] = Counter()
        try:
            self.nodes = self._list_nodes()
            self._board: Any = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        except BaseException:
            self.close()
            raise
        self._shared: Any = ray.remote(run_task)
        self._alone: Any = ray.remote(max_calls=1)(run_task)
        self._last: Mapping[str, Running] = {}

    def _join(self, address: str | None) -> None:
        quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            quiet |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        # A cluster's server for Ray's client may lose the process that it starts for one, https://github.com/ray-project/ray/issues/63202
        tries = 1 + RETRIES if address is not None and address.startswith(CLIENT) else 1
        for left in reversed(range(tries)):
            try:
                self._ray.init(address=address or "local", **quiet)
                return
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                self._ray.shutdown()
                if left and isinstance(error, ConnectionError):
                    continue
                reason = last_line(str(error)) or type(error).__name__
                raise EngineFailed(f"cannot join a Ray cluster at {address or 'this machine'}: {reason}") from None

    def _list_nodes(self) -> list[Node]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray, node_of = self._ray, {}
        remote = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(node_facts)
        for node in ray.nodes():
            if node["Alive"]:
                on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                node_of[remote.options(scheduling_strategy=on_node).remote()] = node
        done, late = ray.wait(list(node_of), num_returns=len(node_of), timeout=ANSWERED_WITHIN_S)
        if late:
            names = ", ".join(node_of[ref]["NodeManagerHostname"] for ref in late)
            raise EngineFailed(f"no answer from {names} within {ANSWERED_WITHIN_S:g} s: is the node overloaded?")
        nodes = []
        for ref in done:
            name, total = node_of[ref]["NodeManagerHostname"], dict(node_of[ref]["Resources"])
            try:
                facts = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise EngineFailed(
                    f"node {name} cannot run sfic-bench, install the same version there: {last_line(str(error))}"
                ) from None
            nodes.append(
                Node(
                    name=f"{name} ({node_of[ref]['NodeManagerAddress']})", cpus=total.pop("CPU", 0),
                    gpus=total.pop("GPU", 0), resources=total, facts=facts,
                )
            )  # fmt: skip
        return nodes

    def run(self, tasks: Iterable[Task]) -> Iterator[JobOutcome]:
        ray = self._ray
        waiting = Waiting(tasks)
        polled_at, room = 0.0, self._room()
        while waiting or self._submitted:
            for task in waiting.next(self._shapes, room):
                self._submit(task)
            done, rest = ray.wait(list(self._submitted), num_returns=1, timeout=POLLED_EVERY_S)
            if rest and done:
                done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
            for ref in done:
                submitted = self._submitted.pop(ref)
                self._shapes[submitted.task.job.needs.shape] -= 1
                outcome = self._outcome(ref, submitted.task)
                if submitted.group is not None:
                    ray.util.remove_placement_group(submitted.group)
                if isinstance(outcome, Task):
                    waiting.put(outcome)
                else:
                    yield outcome
            if monotonic() - polled_at > POLLED_EVERY_S:
                polled_at, room = monotonic(), self._room()
                self._poll()

    def _room(self) -> int:
        """How many tasks of a shape to give to Ray at once; a cluster may have grown."""
        return max(LEAST_AHEAD, AHEAD * int(self._ray.cluster_resources().get("CPU", 0)))

    def _submit(self, task: Task) -> None:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        job, needs = task.job, task.job.needs
        # In a process of its own, a job meets nothing that another one left on the device or in memory.
        function = self._alone if job.is_timed or needs.gpus else self._shared
        group, strategy = None, "DEFAULT"
        if needs.hosts > 1:
            group = self._ray.util.placement_group([bundle(needs)] * needs.hosts, strategy="STRICT_SPREAD")
            strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
        ref = function.options(
            name=str(job), max_retries=RETRIES, retry_exceptions=[MachineFailure], scheduling_strategy=strategy,
            **ray_options(needs, self._cpus(job)),
        ).remote(task, self._board)  # fmt: skip
        self._submitted[ref] = _Submitted(task, group)
        self._shapes[needs.shape] += 1

    def _cpus(self, job: AnyJob) -> float:
        """The cores to ask Ray for: a job that takes a whole node waits for one of the largest that it can run on."""
        if job.needs.cpus is not None:
            return job.needs.cpus
        return max(node.cpus for node in self.nodes if node.can_run(job))

    def _outcome(self, ref: Any, task: Task) -> JobOutcome | Task:
        """How a task ended, or the task to do instead."""
        errors = self._ray.exceptions
        try:
            outcome: JobOutcome = self._ray.get(ref)
            return outcome
        except MachineFailure as error:
            reason = next(iter(str(error.args[0]).splitlines()), "") if error.args else first_line(error)
        except errors.OutOfMemoryError as error:
            self._memory_failures[task.key] += 1
            again = with_less_memory(task, self._memory_failures[task.key])
            if again is not None:
                return again
            reason = first_line(error)
        except errors.RayError as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
        return JobOutcome(key=task.key, host="", reason=reason, cause="machine")

    def _poll(self) -> None:
        try:
            self._last = self._ray.get(self._board.now.remote(), timeout=POLLED_EVERY_S)
        except (self._ray.exceptions.RayError, TimeoutError):
            return  # the board's node is lost or busy, which does no harm to jobs

    def running(self) -> Mapping[str, Running]:
        keys = {submitted.task.key for submitted in list(self._submitted.values())}
        return {key: running for key, running in self._last.items() if key in keys}

    def close(self) -> None:
        for ref, submitted in self._submitted.items():
            self._ray.cancel(ref, force=True)
            if submitted.group is not None:
                self._ray.util.remove_placement_group(submitted.group)
        self._ray.shutdown()
