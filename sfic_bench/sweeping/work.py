"""What a node does with one job: compute its result, keep it, and say briefly how it went."""

import contextlib
import errno
import io
import platform
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from msgspec import structs

from sfic_bench.errors import SficBenchError, chain, first_line
from sfic_bench.measure.conditions import Device
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.processes import cores
from sfic_bench.results.environment import environment
from sfic_bench.sweeping.jobs import AnyJob
from sfic_bench.sweeping.jobs.job import ReportRate, StartPeers, Workplace, code_version
from sfic_bench.sweeping.kept import Cause, Failure, JobRecord, keep
from sfic_bench.sweeping.store import Store

LOG_CHARACTERS = 100_000
"""How much of a failed job's log is kept, from its end."""


class MachineFailure(Exception):
    """The machine failed: on another, or later, the same job may succeed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFacts:
    """The facts of a node that results depend on; ``gpus`` are the names of the devices that torch sees."""

    host: str
    code: str
    torch: str
    processor: str
    cpus: int
    gpus: tuple[str, ...] = ()

    def kind(self, device: Device) -> str:
        """The node's kind of device; times of different kinds are not comparable."""
        return f"{self.processor} ×{self.cpus}" if device is Device.CPU else ", ".join(sorted(set(self.gpus)))


@cache
def facts_of_this_node(*, gpus: bool = False) -> NodeFacts:
    """The facts of this node, with ``gpus`` only on request, because asking for them takes memory on each."""
    count = torch.cuda.device_count() if gpus and torch.cuda.is_available() else 0
    return NodeFacts(
        host=platform.node(), code=code_version(), torch=str(torch.__version__),
        processor=environment().processor or "", cpus=cores(),
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(count)),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A job that is to be done now.

    Attributes:
        key: the name that its result is kept by.
        root: where its result is kept, see `Store`.
        code, torch: the versions that the key was made for.
        device_kind: the kind of device that the key was made for; ``""`` if any will do.
        threads: number of torch's threads; a node's cores for a job that takes a whole one.
        batch_size: the batch size that fits the memory, if the job's own did not; otherwise ``None``.
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
class JobOutcome:
    """How a job ended: it is done if there is no ``cause``, and has failed otherwise."""

    key: str
    host: str
    seconds: float = 0.0
    reason: str = ""
    cause: Cause = ""


def run_job(
    task: Task, report_rate: ReportRate = lambda _: None, node: str = "", start_peers: StartPeers | None = None
) -> JobOutcome:
    """Compute a job's result and keep it, or keep the reason why there is none.

    See `Workplace` for ``report_rate`` and ``start_peers``. ``node`` is the node's name if the host may have several.

    Raises:
        MachineFailure: if trying again may help.
        KeyboardInterrupt: on Ctrl-C; nothing is kept.
    """
    started, log, store = time.time(), io.StringIO(), Store(task.root)
    facts = facts_of_this_node(gpus=task.job.device is Device.CUDA)
    workplace = Workplace(
        folder=store.folder, threads=task.threads, report_rate=report_rate, start_peers=start_peers,
        batch_size=task.batch_size,
    )  # fmt: skip
    try:
        with set_up(task, facts), contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            done = task.job.run(task.key, workplace)
        # The arguments that started this process depend on the engine.
        result = structs.replace(done.result, environment=structs.replace(done.result.environment, argv=[]))
        record = JobRecord(
            key=task.key, host=facts.host, node=node or facts.host, started=started, seconds=time.time() - started,
            threads=task.threads, code=task.code, torch=task.torch, facts=task.job.facts(),
            run=done.run, note=done.note,
        )  # fmt: skip
        keep(store, result, record)
        store.remove(f"failed/{task.key}.json", f"failed/{task.key}.log")
        return JobOutcome(key=task.key, host=facts.host, seconds=record.seconds)
    except MachineFailure:
        raise
    except Exception as error:
        explanation = f"{type(error).__name__}: {first_line(error)}"
        if is_machine(error):
            raise MachineFailure(f"{facts.host}: {explanation}") from error
        cause: Cause = "defect"
        if isinstance(error, SficBenchError):
            cause, explanation = "input", first_line(error)
        traceback.print_exc(file=log)
        outcome = JobOutcome(
            key=task.key, host=facts.host, seconds=time.time() - started, reason=explanation, cause=cause
        )
        keep_failure(store, task, outcome, log.getvalue())
        return outcome


def keep_failure(store: Store, task: Task, outcome: JobOutcome, log: str) -> None:
    """Keep the reason why a job failed, and the end of what it printed."""
    store.write_bytes(f"failed/{task.key}.log", log[-LOG_CHARACTERS:].encode())
    failure = Failure(
        title=str(task.job), host=outcome.host, reason=outcome.reason, cause=outcome.cause, time=time.time(),
        facts=task.job.facts(),
    )  # fmt: skip
    store.write(f"failed/{task.key}.json", failure)


PASSING = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENOMEM)
)
"""Errors of files that depend on the machine and not on the input."""


def is_machine(error: BaseException) -> bool:
    """Whether ``error``, or one that it was raised from or during, is the machine's, so that another try may help."""
    return any(
        (isinstance(e, OSError) and e.errno in PASSING)
        or isinstance(e, ConnectionError | TimeoutError)
        or out_of_memory(e) is not None
        or (isinstance(e, RuntimeError) and str(e).startswith(("CUDA error", "cuDNN error")))
        for e in chain(error, suppressed=True)  # an error "from None" may hide a full disk
    )


@contextlib.contextmanager
def set_up(task: Task, facts: NodeFacts) -> Iterator[None]:
    """Give torch the task's threads, on a node that has the code, torch and device that the task's key was made for.

    Raises:
        MachineFailure: on another node.
    """
    if task.job.device is Device.CUDA and not facts.gpus:
        raise MachineFailure(f"{facts.host}: torch finds no CUDA device")
    for what, expected, actual in (
        ("sfic-bench", task.code, facts.code),
        ("torch", task.torch, facts.torch),
        ("a device", task.device_kind, facts.kind(task.job.device)),
    ):
        if expected and actual != expected:
            raise MachineFailure(
                f"{facts.host} has {what} {actual}, but the sweep began with {expected}: its nodes must be alike"
            )
    before = torch.get_num_threads()
    torch.set_num_threads(task.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
