"""Cells as tasks of Ray, which places them, starts them and starts them again where a node is lost.

Ray's documentation: https://docs.ray.io/en/latest/ray-core/tasks.html and …/fault_tolerance/tasks.html.
"""

import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from sfic_bench.errors import MissingDependency, first_line
from sfic_bench.sweep.cell import Cell
from sfic_bench.sweep.engines import RETRIES, EngineFailed, Node, Running
from sfic_bench.sweep.work import Facts, MachineFailure, Outcome, Task, do, facts

REACHED_WITHIN_S = 8.0
JOINED_WITHIN_S = 20.0
ANSWERED_WITHIN_S = 120.0
POLLED_EVERY_S = 1.0
AHEAD = 4
"""Tasks that Ray is given for each core, so that no node waits for the driver and the driver holds few."""


class Board:
    """An actor on which nodes write what they are doing."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}

    def start(self, key: str, title: str, host: str) -> None:
        self.running[key] = Running(title=title, host=host)

    def rate(self, key: str, images_per_s: float) -> None:
        if key in self.running:
            self.running[key].images_per_s = images_per_s

    def end(self, key: str) -> None:
        self.running.pop(key, None)

    def now(self) -> dict[str, Running]:
        return self.running


def _facts() -> Facts:
    return facts()


def _on_node(task: Task, board: Any) -> Outcome:
    import ray

    board.start.remote(task.key, str(task.cell), facts().host)
    try:
        node = ray.get_runtime_context().get_node_id()
        return do(task, lambda rate: board.rate.remote(task.key, rate), node)
    finally:
        board.end.remote(task.key)


class OnRay:
    """A Ray cluster, or Ray on this machine alone.

    Args:
        address: ``None`` starts Ray on this machine; else ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        MissingDependency: without the extra ``ray``.
        EngineFailed: if there is no cluster, or a node does not answer or lacks sfic-bench.
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise MissingDependency(
                "this engine needs ray: pip install 'sfic-bench[ray]', or --engine local"
            ) from None
        self._ray = ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self.name = "Ray on this machine" if address is None else f"Ray at {address}"
        if address is not None:
            _check_reachable(address)
        quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            # Nobody else's: no page, and no port that another machine can reach.
            quiet |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(address=address or "local", **quiet)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise EngineFailed(
                f"cannot join a Ray cluster at {address or 'this machine'}: {first_line(error)}"
            ) from None
        try:
            self.nodes = self._found_nodes()
            self._board: Any = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        except BaseException:
            self.close()
            raise
        self._on_node: Any = ray.remote(_on_node)
        self._alone: Any = ray.remote(max_calls=1)(_on_node)
        self._last: Mapping[str, Running] = {}
        self._refs: dict[Any, Task] = {}

    def _found_nodes(self) -> list[Node]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray, asked = self._ray, {}
        remote = ray.remote(num_cpus=0, max_retries=0)(_facts)
        alive = [node for node in ray.nodes() if node["Alive"]]
        for node in alive:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[remote.options(scheduling_strategy=there).remote()] = node
        done, late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWERED_WITHIN_S)
        if late:
            names = ", ".join(asked[ref]["NodeManagerHostname"] for ref in late)
            raise EngineFailed(
                f"no answer from {names} within {ANSWERED_WITHIN_S:g} s: is the node overloaded?"
            )
        found = []
        for ref in done:
            node = asked[ref]
            try:
                told = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise EngineFailed(
                    f"node {node['NodeManagerHostname']} cannot run sfic-bench, install the same version there: "
                    f"{str(error).strip().splitlines()[-1]}"
                ) from None
            total = dict(node["Resources"])
            found.append(
                Node(
                    name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
                    cpus=total.pop("CPU", 0), gpus=total.pop("GPU", 0), resources=total, facts=told,
                )
            )  # fmt: skip
        return found

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome | None]:
        ray = self._ray
        waiting, polled = deque(tasks), 0.0
        ahead = max(16, AHEAD * int(sum(node.cpus for node in self.nodes)))
        while waiting or self._refs:
            while waiting and len(self._refs) < ahead:
                self._submit(waiting.popleft())
            refs = list(self._refs)
            done, rest = ray.wait(refs, num_returns=1, timeout=POLLED_EVERY_S)
            if rest and done:
                done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
            for ref in done:
                outcome = self._outcome(ref, self._refs.pop(ref))
                if isinstance(outcome, Task):
                    waiting.append(outcome)
                else:
                    yield outcome
            if monotonic() - polled > POLLED_EVERY_S:
                polled = monotonic()
                self._poll()
                yield None

    def _submit(self, task: Task) -> None:
        cell = task.cell
        # A process of its own, so that nothing of another cell is on the device or in the clock's way.
        function = self._alone if cell.command == "latency" or cell.needs.gpus else self._on_node
        ref = function.options(
            name=str(cell),
            num_cpus=self._cpus(cell),
            num_gpus=cell.needs.gpus,
            accelerator_type=cell.needs.accelerator_type,
            resources=dict(cell.needs.resources) or None,
            max_retries=RETRIES,
            retry_exceptions=[MachineFailure],
        ).remote(task, self._board)
        self._refs[ref] = task

    def _cpus(self, cell: Cell) -> float:
        """A cell that takes a whole node waits for one of the largest that it can run on."""
        if cell.needs.cpus is not None:
            return cell.needs.cpus
        return max(node.cpus for node in self.nodes if node.has(cell.needs))

    def _outcome(self, ref: Any, task: Task) -> Outcome | Task:
        """How a task ended, or what to do instead."""
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(ref)
            return outcome
        except MachineFailure as error:
            reason = next(iter(str(error.args[0]).splitlines()), "") if error.args else first_line(error)
        except errors.OutOfMemoryError as error:
            smaller = self._smaller(task)
            if smaller is not None:
                return smaller
            reason = first_line(error)
        except errors.RayError as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
        return Outcome(key=task.key, status="failed", host="", seconds=0, reason=reason, cause="machine")

    def _smaller(self, task: Task) -> Task | None:
        """With half the batch, after the node ran out of memory and Ray ended the process."""
        if task.cell.command != "accuracy":
            return None
        size = task.batch_size or int(task.cell.asked["batch_size"])
        return replace(task, batch_size=size // 2) if size > 1 else None

    def _poll(self) -> None:
        try:
            self._last = self._ray.get(self._board.now.remote(), timeout=POLLED_EVERY_S)
        except (self._ray.exceptions.RayError, TimeoutError):
            return  # the actor's node was lost or is busy; cells do not depend on it

    def running(self) -> Mapping[str, Running]:
        here = {task.key for task in self._refs.values()}
        return {key: told for key, told in self._last.items() if key in here}

    def close(self) -> None:
        for ref in getattr(self, "_refs", ()):
            self._ray.cancel(ref, force=True)
        self._ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself waits for a minute or ends the process where nobody answers, so ask first, and in another process."""
    if address != "auto":
        host, colon, port = address.removeprefix("ray://").rstrip("/").rpartition(":")
        if not colon or not port.isdigit() or not host:
            raise EngineFailed(
                f"cannot read the address {address!r}: expected auto, HOST:PORT or ray://HOST:PORT"
            )
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN_S).close()
        except OSError as error:
            raise EngineFailed(
                f"cannot reach a Ray cluster at {address}: {error.strerror or error}; start one with `ray start --head`"
            ) from None
    call = [sys.executable, "-c", "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)", address]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=JOINED_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise EngineFailed(
            f"no Ray cluster answers at {address} within {JOINED_WITHIN_S:g} s: is it Ray, and do its nodes reach each other "
            "under the address that `ray start` printed?"
        ) from None
    if done.returncode:
        said = next(iter(reversed(done.stderr.strip().splitlines())), f"exit status {done.returncode}")
        raise EngineFailed(f"cannot join the Ray cluster at {address}: {said}")
