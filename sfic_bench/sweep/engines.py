"""What runs a sweep's tasks: nodes to run on, and outcomes as they come."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Protocol

from sfic_bench.errors import SficBenchError
from sfic_bench.sweep.cell import Needs
from sfic_bench.sweep.work import Facts, MachineFailure, Outcome, Task, do, facts

RETRIES = 2
"""How often a cell is tried again after the machine failed."""


class EngineFailed(SficBenchError):
    """A cluster that cannot be reached or used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A machine that cells can run on: what it has in all, whoever uses it now."""

    name: str
    cpus: float
    gpus: float
    resources: Mapping[str, float]
    facts: Facts

    def has(self, needs: Needs) -> bool:
        """Whether it has enough for one host of a cell."""
        return (
            self.cpus >= (needs.cpus or 0)
            and self.gpus >= needs.gpus
            and all(self.resources.get(name, 0) >= amount for name, amount in needs.named.items())
        )

    def can(self, device: str, needs: Needs) -> bool:
        """Whether a cell that asks for a ``device`` and for what it ``needs`` would find it."""
        return device == "cpu" or bool(needs.gpus and self.facts.gpus)

    def __str__(self) -> str:
        kinds = [name.partition(":")[2] for name in self.resources if name.startswith("accelerator_type:")]
        seen = "" if not self.gpus or self.facts.gpus else ", none of which torch finds"
        return ", ".join([f"{self.name}: {self.cpus:g} CPUs", f"{self.gpus:g} GPUs{seen}", *kinds])


@dataclass(kw_only=True, slots=True)
class Running:
    """A cell that is being done now."""

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
    """This process, one cell after another."""

    name = "this process"

    def __init__(self) -> None:
        here = facts(gpus=True)
        self.nodes = [
            Node(
                name=here.host,
                cpus=os.cpu_count() or 1,
                gpus=len(here.gpus),
                resources=_types(here),
                facts=here,
            )
        ]
        self._running: dict[str, Running] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        for task in tasks:
            self._running = {task.key: Running(title=str(task.cell), host=self.nodes[0].name)}
            yield self._tried(task)
            self._running = {}

    def _tried(self, task: Task) -> Outcome:
        def tell(images_per_s: float) -> None:
            self._running[task.key].images_per_s = images_per_s

        reason = ""
        for _ in range(1 + RETRIES):
            try:
                return do(task, tell)
            except MachineFailure as failure:
                reason = str(failure)
        return Outcome(
            key=task.key, status="failed", host=self.nodes[0].name, seconds=0, reason=reason, cause="machine"
        )

    def running(self) -> Mapping[str, Running]:
        return self._running

    def close(self) -> None:
        """Nothing runs beside the caller."""


def _types(here: Facts) -> dict[str, float]:
    """What Ray may call them: the words with a digit in such as ``NVIDIA A100-SXM4-80GB``."""
    words = {word for name in here.gpus for word in name.replace("-", " ").split()}
    return {
        f"accelerator_type:{word}": 1.0 for word in sorted(words) if any(letter.isdigit() for letter in word)
    }
