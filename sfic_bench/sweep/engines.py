"""The engines that run a sweep's tasks: nodes to run on, and outcomes as they come."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Protocol

from msgspec import Struct, field

from sfic_bench.errors import SficBenchError
from sfic_bench.measure.conditions import Device
from sfic_bench.sweep.jobs.job import Needs
from sfic_bench.sweep.work import (
    MachineFailure,
    NodeFacts,
    Outcome,
    Task,
    facts_of_this_node,
    run_job,
)

RETRIES = 2
"""How often a job is tried again after the machine failed."""


class EngineFailed(SficBenchError):
    """A cluster that cannot be reached or used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A machine that jobs can run on: what it has in all, whoever uses it now."""

    name: str
    cpus: float
    gpus: float
    resources: Mapping[str, float]
    facts: NodeFacts

    def has(self, needs: Needs) -> bool:
        """Whether it has enough for one host of a job."""
        return (
            self.cpus >= (needs.cpus or 0)
            and self.gpus >= needs.gpus
            and all(self.resources.get(name, 0) >= amount for name, amount in needs.named.items())
        )

    def serves(self, device: Device, needs: Needs) -> bool:
        """Whether a job that runs on ``device``, and gets what it ``needs``, would find such a device."""
        return device is Device.CPU or bool(needs.gpus and self.facts.gpus)

    def __str__(self) -> str:
        kinds = [name.partition(":")[2] for name in self.resources if name.startswith("accelerator_type:")]
        seen = "" if not self.gpus or self.facts.gpus else ", none of which torch finds"
        return ", ".join([f"{self.name}: {self.cpus:g} CPUs", f"{self.gpus:g} GPUs{seen}", *kinds])


class Running(Struct, kw_only=True):
    """A job that is being done now."""

    command: str = ""
    title: str
    host: str
    since: float = field(default_factory=time)
    images_per_s: float | None = None


class Engine(Protocol):
    """Runs tasks on nodes.

    Attributes:
        name: said in a live table.
        nodes: what there is.
    """

    name: str

    @property
    def nodes(self) -> Sequence[Node]: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Outcomes as they come."""

    def running(self) -> Mapping[str, Running]:
        """What is being done now, by key; asked by another thread than `run`."""

    def close(self) -> None:
        """Stop whatever runs."""


class Local:
    """This process, one job after another."""

    name = "this process"

    def __init__(self) -> None:
        facts = facts_of_this_node(gpus=True)
        self.nodes = [
            Node(
                name=facts.host,
                cpus=os.cpu_count() or 1,
                gpus=len(facts.gpus),
                resources=_accelerator_types(facts),
                facts=facts,
            )
        ]
        self._running: dict[str, Running] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        for task in tasks:
            job = task.job
            self._running = {task.key: Running(command=job.command, title=str(job), host=self.nodes[0].name)}
            yield self._tried(task)
            self._running = {}

    def _tried(self, task: Task) -> Outcome:
        def report_rate(images_per_s: float) -> None:
            self._running[task.key].images_per_s = images_per_s

        reason = ""
        for _ in range(1 + RETRIES):
            try:
                return run_job(task, report_rate)
            except MachineFailure as failure:
                reason = str(failure)
        return Outcome(
            key=task.key, status="failed", host=self.nodes[0].name, seconds=0, reason=reason, cause="machine"
        )

    def running(self) -> Mapping[str, Running]:
        return self._running

    def close(self) -> None:
        """Nothing runs beside the caller."""


def _accelerator_types(node: NodeFacts) -> dict[str, float]:
    """What Ray may call the node's GPUs: the words with a digit in names such as ``NVIDIA A100-SXM4-80GB``."""
    words = {word for name in node.gpus for word in name.replace("-", " ").split()}
    return {f"accelerator_type:{word}": 1.0 for word in sorted(words) if any(letter.isdigit() for letter in word)}
