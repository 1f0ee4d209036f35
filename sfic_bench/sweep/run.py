"""A sweep from its cells to their results: what is left to do is done, and everything known of it is written down."""

import os
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.sweep.cell import Cell
from sfic_bench.sweep.engines import Engine, EngineFailed, Node, Running
from sfic_bench.sweep.store import Store, every
from sfic_bench.sweep.work import Outcome, Task, keep_failure

PLAN, DRIVER = "state/plan.json", "state/driver.json"
"""What was asked for, and what was being done."""

WRITTEN_EVERY_S, WATCHED_EVERY_S = 2.0, 1.0

ARRIVES_WITHIN_S = 5.0
"""What a node has kept must be seen from here after so long."""

STALE_S = 30.0
"""After so long without a word from it, a driver is taken for dead."""

ORDER = ("latency", "accuracy", "cost")
"""What takes a whole node first, while nodes are free; what takes least fills the gaps."""


class InUse(SficBenchError):
    """A folder or URL that another sweep writes to."""


@dataclass(kw_only=True)
class Progress:
    """Where a sweep stands.

    Attributes:
        total, done, failed: cells by command; ``done`` with those that earlier sweeps have done.
        ended: of this sweep, by command.
        spent_s: what those took, by command.
        running: by key.
        reasons: of failed cells, by key.
        over: nothing more will be done.
    """

    engine: str
    total: Counter[str]
    done: Counter[str]
    failed: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    spent_s: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    running: Mapping[str, Running] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    over: bool = False

    @property
    def seconds_left(self) -> float | None:
        """As many cells at once as so far, each for as long as those of its command; ``None`` until one of each has ended.

        Where those that run now have run for longer than others took, they are what is to be expected.
        """
        now, left_s, ages_s = time.time(), 0.0, defaultdict[str, list[float]](list)
        for told in list(self.running.values()):
            ages_s[told.title.partition(" ")[0]].append(now - told.since)
        for command, count in self.total.items():
            if left := count - self.done[command] - self.failed[command]:
                if not self.ended[command]:
                    return None
                ages = ages_s[command]
                each = max(self.spent_s[command] / self.ended[command], sum(ages) / max(len(ages), 1))
                left_s += max(left - len(ages), 0) * each + sum(max(each - age, 0.0) for age in ages)
        at_once = (sum(self.spent_s.values()) + sum(map(sum, ages_s.values()))) / max(
            now - self.started, 1e-3
        )
        return left_s / max(at_once, 1e-3)

    @property
    def images_per_s(self) -> float | None:
        """Of all trainings together."""
        rates = [r.images_per_s for r in list(self.running.values()) if r.images_per_s is not None]
        return sum(rates) if rates else None

    def as_json(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "host": platform.node(),
            "pid": os.getpid(),
            "started": self.started,
            "updated": time.time(),
            "over": self.over,
            "ended": self.ended.total(),
            "seconds_left": self.seconds_left,
            "images_per_s": self.images_per_s,
            "running": {key: asdict(told) for key, told in list(self.running.items())},
        }


Watch = Callable[[Progress], object]


def is_alive(driver: Mapping[str, Any]) -> bool:
    """Whether the driver that wrote this may still be at work."""
    if driver["over"] or time.time() - driver["updated"] > STALE_S:
        return False
    return driver["host"] != platform.node() or _is_running(driver["pid"])


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def tasks_of(
    cells: Iterable[Cell], nodes: Sequence[Node], store: Store, *, may_grow: bool = False
) -> list[Task]:
    """What is to be done for ``cells``, with keys for the code and devices that ``nodes`` have.

    Raises:
        EngineFailed: for nodes of which some have other code or another torch.
        InvalidValue: for a cell that no node has enough for, unless the cluster ``may_grow``; for one to be timed whose nodes have
            several kinds of device; for one on several hosts without a folder that they share.
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
        asked = (needs.shape, cell.device)
        if asked not in found:
            found[asked] = [n for n in nodes if n.has(needs) and n.can(cell.device, needs)]
            if len(found[asked]) < needs.hosts and not (may_grow and needs.cpus is not None):
                raise InvalidValue(_impossible(cell, nodes))
        if needs.hosts > 1 and not store.is_local:
            raise InvalidValue(
                f"{cell.block}: {needs.hosts} hosts share a run's folder: choose a folder, not a URL"
            )
        able = found[asked]
        kind = _kind(cell, able)
        # That a node has the accelerator that was asked for is Ray's to see to.
        checked = "" if needs.accelerator_type else kind
        tasks.append(
            Task(
                cell=cell, key=cell.key(code, torch, kind), root=store.root, code=code, torch=torch, device_kind=checked,
                threads=needs.threads or int(max((node.cpus for node in able), default=1)),
            )
        )  # fmt: skip
    return sorted(tasks, key=lambda task: ORDER.index(task.cell.command))


def _impossible(cell: Cell, nodes: Sequence[Node]) -> str:
    what = f"{cell.needs}" if cell.needs.gpus or cell.device == "cpu" else "a CUDA device, but gpus = 0"
    lack = "no node has that" if cell.needs.hosts == 1 else "there are not so many"
    return (
        f"{cell.block}: the {cell} needs {what}, and {lack}: {'; '.join(map(str, nodes))}; ask for less, or add "
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


def sweep(tasks: Sequence[Task], engine: Engine, store: Store, watch: Watch) -> Progress:
    """Do those of ``tasks`` that have no result yet.

    A cell that failed is tried again, since what failed it may have been mended; within one sweep only a failure of the machine
    is. ``watch`` is called every second, by a thread, and in the end.

    Raises:
        InUse: if another sweep is writing there.
        KeyboardInterrupt: as it comes; what is finished is kept.
        EngineFailed: if a node keeps its results elsewhere.
        UnwritableOutput: if results cannot be kept.
    """
    other = store.read(DRIVER)
    if other is not None and is_alive(other):
        raise InUse(
            f"{store.root} is another sweep's, driven from {other['host']} (process {other['pid']}): wait for its end, or choose "
            f"another place; if it was killed, try again in {STALE_S:g} s"
        )
    store.remove_unfinished("state", "results", "failed")
    by_key = {task.key: task for task in tasks}
    has = store.keys("results")
    progress = Progress(
        engine=engine.name,
        total=Counter(task.cell.command for task in tasks),
        done=Counter(task.cell.command for task in tasks if task.key in has),
    )

    def tick() -> None:
        progress.running = dict(engine.running())
        watch(progress)
        if time.time() - written[0] > WRITTEN_EVERY_S:
            written[0] = time.time()
            store.write(DRIVER, progress.as_json())

    store.write(PLAN, {"cells": {task.key: str(task.cell) for task in tasks}})
    store.write(DRIVER, progress.as_json())
    written, seen_on = [time.time()], set[str]()
    try:
        with every(WATCHED_EVERY_S, tick):
            for outcome in engine.run([task for task in tasks if task.key not in has]):
                _count(progress, by_key[outcome.key], outcome, store, seen_on)
    finally:
        progress.running, progress.over = {}, True
        store.write(DRIVER, progress.as_json())
    watch(progress)
    return progress


def _count(progress: Progress, task: Task, outcome: Outcome, store: Store, seen_on: set[str]) -> None:
    command = task.cell.command
    progress.ended[command] += 1
    progress.spent_s[command] = progress.spent_s.get(command, 0.0) + outcome.seconds
    if outcome.status == "failed":
        progress.failed[command] += 1
        progress.reasons[task.key] = f"{task.cell}: {outcome.reason}"
        if outcome.cause == "machine":  # nobody there could write it down
            keep_failure(store, task, outcome, f"{outcome.reason}\n")
        return
    progress.done[command] += 1
    # One look at each node tells whether what it writes comes here.
    if outcome.host not in seen_on and not _arrives(store, f"results/{task.key}.json"):
        raise EngineFailed(
            f"{outcome.host} keeps results in a {store.root} of its own: choose a folder that all nodes share, or a URL"
        )
    seen_on.add(outcome.host)


def _arrives(store: Store, name: str) -> bool:
    """Shared file systems may take a moment."""
    end = time.monotonic() + ARRIVES_WITHIN_S
    while not store.has(name):
        if time.monotonic() > end:
            return False
        time.sleep(ARRIVES_WITHIN_S / 10)
    return True
