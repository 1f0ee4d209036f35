"""The engines that run a sweep's tasks: the nodes that they have, and the outcomes of tasks as they end."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Protocol

from msgspec import Struct, field

from sfic_bench.errors import SficBenchError
from sfic_bench.measure.conditions import Device
from sfic_bench.sweeping.jobs import AnyJob
from sfic_bench.sweeping.work import JobOutcome, MachineFailure, NodeFacts, Task, facts_of_this_node, run_job

RETRIES = 2
"""How often a job is tried again after the machine failed."""


class EngineFailed(SficBenchError):
    """A cluster that cannot be reached or used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A machine that jobs can run on, and all that it has, whether in use or not."""

    name: str
    cpus: float
    gpus: float
    resources: Mapping[str, float]
    facts: NodeFacts

    def can_run(self, job: AnyJob) -> bool:
        """Whether it has what the job needs of one host, and torch finds the device that the job runs on."""
        needs = job.needs
        return (
            self.cpus >= (needs.cpus or 0)
            and self.gpus >= needs.gpus
            and all(self.resources.get(name, 0) >= amount for name, amount in needs.named.items())
            and (job.device is Device.CPU or bool(needs.gpus and self.facts.gpus))
        )

    def __str__(self) -> str:
        kinds = [name.partition(":")[2] for name in self.resources if name.startswith("accelerator_type:")]
        seen = "" if not self.gpus or self.facts.gpus else ", none of which torch finds"
        return ", ".join([f"{self.name}: {self.cpus:g} CPUs", f"{self.gpus:g} GPUs{seen}", *kinds])


class Running(Struct, kw_only=True):
    """A job that is running now."""

    command: str = ""
    title: str
    host: str
    since: float = field(default_factory=time)
    images_per_s: float | None = None


class Engine(Protocol):
    """Runs tasks on ``nodes``; ``name`` is what a table calls it."""

    name: str

    @property
    def nodes(self) -> Sequence[Node]: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[JobOutcome]:
        """Run ``tasks``, and yield the outcome of each as soon as it ends."""

    def running(self) -> Mapping[str, Running]:
        """The jobs that are running now, by key. Another thread than that of `run` calls it."""

    def close(self) -> None:
        """Stop what is running."""


class Local:
    """The engine that is this process, which runs one job after another."""

    name = "this process"

    def __init__(self) -> None:
        facts = facts_of_this_node(gpus=True)
        # Ray names types of GPUs by the words with a digit in names such as "NVIDIA A100-SXM4-80GB".
        words = {word for name in facts.gpus for word in name.replace("-", " ").split()}
        types = {f"accelerator_type:{word}": 1.0 for word in sorted(words) if any(map(str.isdigit, word))}
        node = Node(name=facts.host, cpus=facts.cpus, gpus=len(facts.gpus), resources=types, facts=facts)
        self.nodes = [node]
        self._running: dict[str, Running] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[JobOutcome]:
        for task in tasks:
            job = task.job
            self._running = {task.key: Running(command=job.command, title=str(job), host=self.nodes[0].name)}
            yield self._tried(task)
            self._running = {}

    def _tried(self, task: Task) -> JobOutcome:
        def report_rate(images_per_s: float) -> None:
            self._running[task.key].images_per_s = images_per_s

        reason = ""
        for _ in range(1 + RETRIES):
            try:
                return run_job(task, report_rate)
            except MachineFailure as failure:
                reason = str(failure)
        return JobOutcome(key=task.key, host=self.nodes[0].name, reason=reason, cause="machine")

    def running(self) -> Mapping[str, Running]:
        return self._running

    def close(self) -> None:
        pass
