"""From jobs to tasks: which nodes can run each, and the key that its result is kept by."""

from collections.abc import Iterable, Sequence

from sfic_bench.errors import InvalidValue
from sfic_bench.measure.conditions import Device
from sfic_bench.sweeping.engines import EngineFailed, Node
from sfic_bench.sweeping.jobs import AnyJob
from sfic_bench.sweeping.jobs.job import Facts
from sfic_bench.sweeping.kept import record_of
from sfic_bench.sweeping.store import Store
from sfic_bench.sweeping.work import Task


def tasks_of(jobs: Iterable[AnyJob], nodes: Sequence[Node], store: Store, *, may_grow: bool = False) -> list[Task]:
    """The tasks for ``jobs``, with keys for the code and devices that ``nodes`` have.

    Raises:
        EngineFailed: if nodes differ in code or torch.
        InvalidValue: for a job that no node has enough for, unless the cluster ``may_grow``; for a timed job that could
            run on several kinds of device; for a job on several hosts if ``store`` is no folder that they could share.
    """
    versions = {(node.facts.code, node.facts.torch) for node in nodes}
    if len(versions) != 1:
        each = "; ".join(f"{n.name} has sfic-bench {n.facts.code}, torch {n.facts.torch}" for n in nodes)
        raise EngineFailed(f"nodes differ: {each or 'there are none'}: install the same on all")
    ((code, torch),) = versions
    tasks = []
    for job in jobs:
        needs, able = job.needs, [node for node in nodes if node.can_run(job)]
        if len(able) < needs.hosts and not (may_grow and needs.cpus is not None):
            raise InvalidValue(_impossible(job, nodes))
        if needs.hosts > 1 and not store.is_local:
            raise InvalidValue(f"{job.block}: {needs.hosts} hosts share a run's folder: choose a folder, not a URL")
        kind = _kind(job, able)
        tasks.append(
            Task(
                job=job, key=job.key(code, torch, kind), root=store.root, code=code, torch=torch,
                device_kind="" if needs.accelerator_type else kind,  # Ray itself checks the type of accelerator
                threads=needs.threads or int(max((node.cpus for node in able), default=1)),
            )
        )  # fmt: skip
    return sorted(tasks, key=lambda task: task.job.order)


def _impossible(job: AnyJob, nodes: Sequence[Node]) -> str:
    what = f"{job.needs}" if job.needs.gpus or job.device is Device.CPU else "a CUDA device, but gpus = 0"
    lack = "no node has that" if job.needs.hosts == 1 else "there are not so many"
    return (
        f"{job.block}: the {job} needs {what}, and {lack}: {'; '.join(map(str, nodes))}; ask for less, or add "
        "--may-grow if the cluster starts nodes on demand"
    )


def _kind(job: AnyJob, nodes: Sequence[Node]) -> str:
    """The kind of device that a time depends on; ``""`` for counts and for trainings, whose facts name the device."""
    if not job.is_timed:
        return ""
    if job.needs.accelerator_type:
        return job.needs.accelerator_type
    kinds = {node.facts.kind(job.device) for node in nodes}
    if len(kinds) != 1:
        places = f"on {' or on '.join(sorted(kinds))}" if kinds else "on whatever the cluster starts"
        raise InvalidValue(f"{job.block}: the {job} could be timed {places}; choose, by accelerator_type or resources")
    return kinds.pop()


def computed_before(tasks: Sequence[Task], store: Store) -> list[str]:
    """Keys of results for the same facts as a task without a result, but computed with other code, torch or device.

    They are left as they are, and not used. Only files whose names begin as a task's does are read.
    """
    keys = store.keys("results")
    missing: dict[str, list[Task]] = {}
    for task in tasks:
        if task.key not in keys:
            missing.setdefault(task.job.readable_key, []).append(task)
    older = []
    for key in sorted(keys - {task.key for task in tasks}):
        candidates = missing.get(key.rpartition("-")[0], ())
        record = record_of(store, key) if candidates else None
        if record is not None and any(_same_facts(record.facts, task) for task in candidates):
            older.append(key)
    return older


def _same_facts(facts: Facts, task: Task) -> bool:
    """Whether an older result's ``facts`` are those of ``task``, as far as the older version wrote them down."""
    own = task.job.facts()
    return all(own.get(name) == value for name, value in facts.items() if name in own and name != "backbone")
