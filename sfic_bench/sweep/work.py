"""What a node does with one job: compute its result, keep it, and say briefly how it went."""

import contextlib
import errno
import io
import os
import platform
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import torch
from msgspec import structs

from sfic_bench.errors import SficBenchError, first_line
from sfic_bench.measure.conditions import Device
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.results.environment import environment
from sfic_bench.sweep.jobs import AnyJob
from sfic_bench.sweep.jobs.job import ReportRate, StartPeers, Workplace, code_version
from sfic_bench.sweep.kept import Failure, JobRecord, keep
from sfic_bench.sweep.store import Store

LOG_CHARACTERS = 100_000
"""How much of a failed job's log is kept, from its end."""


class MachineFailure(Exception):
    """The machine failed: on another, or later, the same job may succeed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFacts:
    """What a node is, as far as results depend on it.

    Attributes:
        gpus: names of the devices that torch sees, where they were asked for.
    """

    host: str
    code: str
    torch: str
    processor: str
    cpus: int
    gpus: tuple[str, ...] = ()

    def kind(self, device: Device) -> str:
        """What tells two devices apart whose times may not be compared."""
        return f"{self.processor} ×{self.cpus}" if device is Device.CPU else ", ".join(sorted(set(self.gpus)))


@cache
def facts_of_this_node(*, gpus: bool = False) -> NodeFacts:
    """The facts of this node. Asking for ``gpus`` takes memory on them, so that nothing that needs none asks."""
    count = torch.cuda.device_count() if gpus and torch.cuda.is_available() else 0
    return NodeFacts(
        host=platform.node(),
        code=code_version(),
        torch=str(torch.__version__),
        processor=environment().processor or "",
        cpus=os.cpu_count() or 1,
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(count)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A job to be done now.

    Attributes:
        key: what its result is kept by.
        root: of the `Store`.
        code, torch: versions that the key was made for.
        device_kind: the device that it was made for, or nothing.
        threads: of torch; a node's cores for a job that takes a whole one.
        batch_size: less than the job's, after the memory was too small for that.
    """

    job: AnyJob
    key: str
    root: str
    code: str
    torch: str
    device_kind: str
    threads: int
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a job went."""

    key: str
    status: Literal["done", "failed"]
    host: str
    seconds: float
    reason: str = ""
    cause: Literal["", "input", "machine", "defect"] = ""


def run_job(
    task: Task,
    report_rate: ReportRate = lambda _: None,
    node: str = "",
    start_peers: StartPeers | None = None,
) -> Outcome:
    """Compute a job's result and keep it, or why there is none.

    Args:
        task: what to do.
        report_rate: is told how fast a training is.
        node: tells nodes apart that one host has.
        start_peers: starts the other hosts of a training that takes several.

    Raises:
        MachineFailure: where trying again may help.
        KeyboardInterrupt: as it comes; nothing is kept.
    """
    started, log, store = time.time(), io.StringIO(), Store(task.root)
    facts = facts_of_this_node(gpus=task.job.device is Device.CUDA)
    workplace = Workplace(
        folder=store.folder, threads=task.threads, report_rate=report_rate, start_peers=start_peers,
        batch_size=task.batch_size,
    )  # fmt: skip
    failed = partial(Outcome, key=task.key, status="failed", host=facts.host)
    try:
        with set_up(task, facts), contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            done = task.job.run(task.key, workplace)
        seconds = time.time() - started
        # The arguments that started this process are the engine's affair.
        result = structs.replace(done.result, environment=structs.replace(done.result.environment, argv=[]))
        record = JobRecord(
            key=task.key, host=facts.host, node=node or facts.host, started=started, seconds=seconds,
            threads=task.threads, code=task.code, torch=task.torch, asked=dict(task.job.facts()), run=done.run, note=done.note,
        )  # fmt: skip
        keep(store, task.key, result, record)
        store.remove(f"failed/{task.key}.json", f"failed/{task.key}.log")
    except MachineFailure:
        raise
    except Exception as error:
        if is_machine(error):
            raise MachineFailure(f"{facts.host}: {type(error).__name__}: {first_line(error)}") from error
        traceback.print_exc(file=log)
        seconds = time.time() - started
        if isinstance(error, SficBenchError):
            outcome = failed(seconds=seconds, reason=first_line(error), cause="input")
        else:
            reason = f"{type(error).__name__}: {first_line(error)}"
            outcome = failed(seconds=seconds, reason=reason, cause="defect")
        keep_failure(store, task, outcome, log.getvalue())
        return outcome
    return Outcome(key=task.key, status="done", host=facts.host, seconds=seconds)


def keep_failure(store: Store, task: Task, outcome: Outcome, log: str) -> None:
    """Keep why a job failed, and the end of what it printed."""
    store.write_bytes(f"failed/{task.key}.log", log[-LOG_CHARACTERS:].encode())
    failure = Failure(
        cell=str(task.job), host=outcome.host, reason=outcome.reason, cause=outcome.cause, time=time.time(),
        asked=dict(task.job.facts()),
    )  # fmt: skip
    store.write(f"failed/{task.key}.json", failure)


PASSING = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENOMEM)
)
"""Errors of files that say something of the machine, not of what was asked."""


def is_machine(error: BaseException) -> bool:
    """Whether the machine is to blame, and another try may succeed."""
    causes: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in causes:
        causes.append(at)
        at = at.__cause__ or at.__context__
    return any(
        (isinstance(e, OSError) and e.errno in PASSING)
        or isinstance(e, ConnectionError | TimeoutError)
        or out_of_memory(e) is not None
        or (isinstance(e, RuntimeError) and str(e).startswith(("CUDA error", "cuDNN error")))
        for e in causes
    )


@contextlib.contextmanager
def set_up(task: Task, facts: NodeFacts) -> Iterator[None]:
    """Give torch the task's threads, on a node that is what the task's key says.

    Raises:
        MachineFailure: on a node that is not.
    """
    if task.job.device is Device.CUDA and not facts.gpus:
        raise MachineFailure(f"{facts.host}: torch finds no CUDA device")
    for what, expected, found in (
        ("sfic-bench", task.code, facts.code),
        ("torch", task.torch, facts.torch),
        ("a device", task.device_kind, facts.kind(task.job.device)),
    ):
        if expected and found != expected:
            raise MachineFailure(
                f"{facts.host} has {what} {found}, and the sweep is of {expected}: nodes of one sweep must be alike"
            )
    before = torch.get_num_threads()
    torch.set_num_threads(task.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
