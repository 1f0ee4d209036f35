"""What a node does with one cell: compute its result, keep it, and say briefly how it went."""

import contextlib
import errno
import io
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from sfic_bench import api, documents
from sfic_bench.errors import SficBenchError, first_line
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.report.environment import environment
from sfic_bench.spec import Variant
from sfic_bench.sweep.cell import Cell, code_version
from sfic_bench.sweep.store import Store

LOG_CHARACTERS = 100_000
"""Of a failed cell's log, its end."""

Tell = Callable[[float], object]
"""Takes images a second, now and then."""


class Others(Protocol):
    """The hosts beside the first of a training that takes several; they wait for it at ``address``."""

    address: str

    def check(self, wait_s: float = 0) -> None:
        """Raise what ended one of them, if something has within ``wait_s`` seconds or they are all done by then."""

    def stop(self) -> None:
        """End those that still run."""


Elsewhere = Callable[[Path, int], Others]
"""Starts them, given the run's folder and images a step."""


class MachineFailure(Exception):
    """What failed is the machine: on another, or later, the same cell may succeed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a node is, as far as results depend on it. ``gpus``: names of the devices that torch sees, where asked for."""

    host: str
    code: str
    torch: str
    processor: str
    cpus: int
    gpus: tuple[str, ...] = ()

    def kind(self, device: str) -> str:
        """What tells two devices apart whose times may not be compared."""
        return f"{self.processor} ×{self.cpus}" if device == "cpu" else ", ".join(sorted(set(self.gpus)))


@cache
def facts(*, gpus: bool = False) -> Facts:
    """Of this node. Asking for ``gpus`` takes memory on them, which is why nothing that needs none asks."""
    count = torch.cuda.device_count() if gpus and torch.cuda.is_available() else 0
    return Facts(
        host=platform.node(),
        code=code_version(),
        torch=torch.__version__,
        processor=str(environment()["processor"]),
        cpus=os.cpu_count() or 1,
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(count)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A cell to do.

    Attributes:
        key: what its result is kept by.
        root: of the `Store`.
        code, torch: versions that the key was made for.
        device_kind: the device that it was made for, or nothing.
        threads: of torch; a node's cores for a cell that takes a whole one.
        batch_size: less than was asked for, after the memory was too small for that.
    """

    cell: Cell
    key: str
    root: str
    code: str
    torch: str
    device_kind: str
    threads: int
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a cell went."""

    key: str
    status: Literal["done", "failed"]
    host: str
    seconds: float
    reason: str = ""
    cause: Literal["", "input", "machine", "defect"] = ""


def do(
    task: Task, tell: Tell = lambda _: None, node: str = "", elsewhere: Elsewhere | None = None
) -> Outcome:
    """Compute a cell and keep its result, or why there is none.

    Args:
        task: what to do.
        tell: is told how fast a training is.
        node: tells nodes apart that one host has.
        elsewhere: starts the other hosts of a training that takes several.

    Raises:
        MachineFailure: where trying again may help.
        KeyboardInterrupt: as it comes; nothing is kept.
    """
    started, log, store = time.time(), io.StringIO(), Store(task.root)
    here = facts(gpus=task.cell.device == "cuda")
    try:
        with as_on(task, here), contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            document, more = _document(task, store, tell, elsewhere)
        seconds = time.time() - started
        # What started this process is the engine's affair; what was asked is below.
        environment = {k: v for k, v in document["environment"].items() if k != "argv"}
        told = {
            "key": task.key, "host": here.host, "node": node or here.host, "started": started, "seconds": seconds, "threads": task.threads,
            "asked": dict(task.cell.asked), **more,
        }  # fmt: skip
        store.write(f"results/{task.key}.json", {**document, "environment": environment, "cell": told})
        store.remove(f"failed/{task.key}.json", f"failed/{task.key}.log")
    except MachineFailure:
        raise
    except Exception as error:
        if is_machine(error):
            raise MachineFailure(f"{here.host}: {type(error).__name__}: {first_line(error)}") from error
        traceback.print_exc(file=log)
        outcome = Outcome(
            key=task.key, status="failed", host=here.host, seconds=time.time() - started,
            reason=first_line(error) if isinstance(error, SficBenchError) else f"{type(error).__name__}: {first_line(error)}",
            cause="input" if isinstance(error, SficBenchError) else "defect",
        )  # fmt: skip
        keep_failure(store, task, outcome, log.getvalue())
        return outcome
    return Outcome(key=task.key, status="done", host=here.host, seconds=seconds)


def keep_failure(store: Store, task: Task, outcome: Outcome, log: str) -> None:
    """Why a cell failed, and what it said."""
    told = {"cell": str(task.cell), "host": outcome.host, "reason": outcome.reason, "cause": outcome.cause}
    store.write_bytes(f"failed/{task.key}.log", log[-LOG_CHARACTERS:].encode())
    store.write(f"failed/{task.key}.json", told | {"time": time.time(), "asked": dict(task.cell.asked)})


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
def as_on(task: Task, here: Facts) -> Iterator[None]:
    """With the threads that were asked for, on a node that is what the key says.

    Raises:
        MachineFailure: on one that is not.
    """
    if task.cell.device == "cuda" and not here.gpus:
        raise MachineFailure(f"{here.host}: torch finds no CUDA device")
    for what, expected, found in (
        ("sfic-bench", task.code, here.code),
        ("torch", task.torch, here.torch),
        ("a device", task.device_kind, here.kind(task.cell.device)),
    ):
        if expected and found != expected:
            raise MachineFailure(
                f"{here.host} has {what} {found}, and the sweep is of {expected}: nodes of one sweep must be alike"
            )
    before = torch.get_num_threads()
    torch.set_num_threads(task.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _document(
    task: Task, store: Store, tell: Tell, elsewhere: Elsewhere | None
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A result file's content, and what else is to be known of how it came about."""
    match task.cell.command:
        case "cost":
            return _cost(task.cell), {}
        case "latency":
            return _latency(task.cell), {}
        case _:
            return _accuracy(task, store, tell, elsewhere)


def variant_of(asked: Mapping[str, Any]) -> Variant:
    """The network that a cell asks for."""
    return Variant(**{name: asked[name] for name in ("backbone", "alpha", "beta", "on_unsupported")})


def _cost(cell: Cell) -> dict[str, Any]:
    asked = cell.asked
    sizes = {"input_size": asked["input_size"], "classes": asked["classes"]}
    (found,) = api.costs([variant_of(asked)], fused=True, **sizes)
    return documents.cost([documents.cost_row(found, **sizes)])


def _latency(cell: Cell) -> dict[str, Any]:
    from sfic_bench import latency
    from sfic_bench.conditions import Conditions
    from sfic_bench.measure import Stop

    asked = cell.asked
    names = Conditions.__dataclass_fields__
    conditions = Conditions(**{name: asked[name] for name in names})
    network = variant_of(asked)
    members = [network] if network.is_vanilla else [replace(network, alpha=None, beta=None), network]
    machine = latency.Machine.for_conditions(conditions)
    told = documents.machine_facts(conditions, machine) | {"node": platform.node()}
    stop = Stop(max_seconds=asked["max_seconds"])
    families = list(latency.measure(members, asked["paths"], conditions, machine, stop))
    if any(family.stopped_by == "interrupt" for family in families):
        raise KeyboardInterrupt
    return documents.measurement(families, conditions, machine, told)


def _accuracy(
    task: Task, store: Store, tell: Tell, elsewhere: Elsewhere | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    from sfic_bench.sweep import training

    asked = int(task.cell.asked["batch_size"])
    size = task.batch_size or asked
    while True:
        run = f"runs/{task.key}" + ("" if size == asked else f"-batch{size}")
        note = {} if size == asked else {"note": f"batch {size} instead of {asked}: out of memory"}
        try:
            with store.folder(run) as folder:
                document = training.document(task.cell, folder, size, task.threads, tell, elsewhere)
            return document, {"run": run, **note}
        except (RuntimeError, MemoryError) as error:
            if out_of_memory(error) is None or size == 1:
                raise
        size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
