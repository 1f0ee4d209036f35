"""A sweep from its cells to their results: what is left to do is done, and everything known of it is written down."""

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from sfic_bench.errors import InvalidValue
from sfic_bench.sweep.cell import Cell, Needs
from sfic_bench.sweep.engines import Engine, EngineFailed, Node, Running
from sfic_bench.sweep.store import Store
from sfic_bench.sweep.work import Outcome, Task, keep_failure

WRITTEN_EVERY_S = 2.0

ORDER = ("latency", "accuracy", "cost")
"""What takes a whole node first, while nodes are free; what takes least fills the gaps."""


@dataclass(kw_only=True)
class Progress:
    """Where a sweep stands.

    Attributes:
        total, done, failed: cells by command; ``done`` with those that earlier sweeps have done.
        ended: of this sweep.
        running: by key.
        reasons: of failed cells, by key.
    """

    engine: str
    total: Counter[str]
    done: Counter[str]
    failed: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    started: float = field(default_factory=time.time)
    running: Mapping[str, Running] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return self.total.total() - self.done.total() - self.failed.total()

    @property
    def seconds_left(self) -> float | None:
        """As long as the cells before took, each; ``None`` before the first."""
        return None if not self.ended else self.left * (time.time() - self.started) / self.ended

    @property
    def images_per_s(self) -> float | None:
        """Of all trainings together."""
        rates = [r.images_per_s for r in self.running.values() if r.images_per_s is not None]
        return sum(rates) if rates else None

    def as_json(self) -> dict[str, object]:
        return {
            "engine": self.engine,
            "host": platform.node(),
            "pid": os.getpid(),
            "started": self.started,
            "updated": time.time(),
            "ended": self.ended,
            "seconds_left": self.seconds_left,
            "images_per_s": self.images_per_s,
            "running": {key: asdict(told) for key, told in self.running.items()},
        }


Watch = Callable[[Progress], object]


def tasks_of(
    cells: Iterable[Cell], nodes: Sequence[Node], store: Store, *, may_grow: bool = False
) -> list[Task]:
    """What is to be done for ``cells``, with keys for the code and devices that ``nodes`` have.

    Raises:
        EngineFailed: for nodes of which some have other code or another torch.
        InvalidValue: for a cell that no node has enough for, unless the cluster ``may_grow``, or for one to be timed whose nodes
            have several kinds of device.
    """
    versions = {(node.facts.code, node.facts.torch) for node in nodes}
    if len(versions) != 1:
        each = "; ".join(f"{n.name} has sfic-bench {n.facts.code}, torch {n.facts.torch}" for n in nodes)
        raise EngineFailed(f"nodes differ: {each or 'there are none'}: install the same on all")
    ((code, torch),) = versions
    found: dict[tuple[object, ...], list[Node]] = {}
    tasks = []
    for cell in cells:
        needs = cell.needs
        asked = (needs.cpus, needs.gpus, needs.accelerator_type, tuple(needs.resources.items()), cell.device)
        if asked not in found:
            found[asked] = [n for n in nodes if n.has(needs) and (needs.gpus or cell.device == "cpu")]
            if not found[asked] and not (may_grow and needs.cpus is not None):
                raise InvalidValue(_impossible(cell, nodes))
        able = found[asked]
        kind = _kind(cell, able)
        # That a node has the accelerator that was asked for is Ray's to see to.
        checked = "" if needs.accelerator_type else kind
        tasks.append(
            Task(
                cell=cell, key=cell.key(code, torch, kind), root=store.root, code=code, torch=torch, device_kind=checked,
                threads=_threads(needs, able),
            )
        )  # fmt: skip
    return sorted(tasks, key=lambda task: ORDER.index(task.cell.command))


def _impossible(cell: Cell, nodes: Sequence[Node]) -> str:
    what = f"{cell.needs}" if cell.needs.gpus or cell.device == "cpu" else "a CUDA device, but gpus = 0"
    return (
        f"{cell.block}: the {cell} needs {what}, and no node has that: {'; '.join(map(str, nodes))}; ask for less, or add "
        "--may-grow if the cluster starts nodes when they are wanted"
    )


def _kind(cell: Cell, nodes: Sequence[Node]) -> str:
    """A time is of one kind of device; counts depend on none, and of a training the device is in what is asked."""
    if cell.command != "latency":
        return ""
    if cell.needs.accelerator_type:
        return cell.needs.accelerator_type
    kinds = {node.facts.kind(cell.device) for node in nodes}
    if len(kinds) != 1:
        could = f"on {' or on '.join(sorted(kinds))}" if kinds else "on whatever the cluster starts"
        raise InvalidValue(
            f"{cell.block}: the {cell} could be timed {could}; choose, by accelerator_type or resources"
        )
    return kinds.pop()


def _threads(needs: Needs, nodes: Sequence[Node]) -> int:
    if needs.cpus is not None:
        return max(1, int(needs.cpus))
    return int(max((node.cpus for node in nodes), default=1))


def sweep(tasks: Sequence[Task], engine: Engine, store: Store, watch: Watch) -> Progress:
    """Do those of ``tasks`` that have no result yet.

    A cell that failed is tried again, since what failed it may have been mended; within one sweep only a failure of the machine
    is. ``watch`` is called whenever something is new.

    Raises:
        KeyboardInterrupt: as it comes; what is finished is kept.
        UnwritableOutput: if results cannot be kept.
    """
    by_key = {task.key: task for task in tasks}
    has = store.keys("results")
    store.write("plan.json", {"cells": {task.key: str(task.cell) for task in tasks}})
    progress = Progress(
        engine=engine.name,
        total=Counter(task.cell.command for task in tasks),
        done=Counter(task.cell.command for task in tasks if task.key in has),
    )
    written = _write(store, progress)
    seen_on: set[str] = set()
    try:
        for outcome in engine.run([task for task in tasks if task.key not in has]):
            progress.running = dict(engine.running())
            if outcome is not None:
                _count(progress, by_key[outcome.key], outcome, store, seen_on)
            watch(progress)
            if time.monotonic() - written > WRITTEN_EVERY_S:
                written = _write(store, progress)
    finally:
        progress.running = {}
        _write(store, progress)
    return progress


def _count(progress: Progress, task: Task, outcome: Outcome, store: Store, seen_on: set[str]) -> None:
    progress.ended += 1
    command = task.cell.command
    if outcome.status == "failed":
        progress.failed[command] += 1
        progress.reasons[task.key] = f"{task.cell}: {outcome.reason}"
        if outcome.cause == "machine":  # nobody there could write it down
            keep_failure(store, task, outcome, f"{outcome.reason}\n")
        return
    progress.done[command] += 1
    # One look at each node tells whether what it writes comes here.
    if outcome.host not in seen_on and not store.has(f"results/{task.key}.json"):
        raise EngineFailed(
            f"{outcome.host} keeps results in a {store.root} of its own: choose a folder that all nodes share, or a URL"
        )
    seen_on.add(outcome.host)


def _write(store: Store, progress: Progress) -> float:
    store.write("driver.json", progress.as_json())
    return time.monotonic()
