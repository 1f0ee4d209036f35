"""Processes that train one network together: torchrun starts those of a host, and this module watches torchrun.

https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING

import torch
from msgspec import Struct, json

from sfic_bench.errors import SficBenchError

if TYPE_CHECKING:
    from sfic_bench.sweeping.jobs.job import Workplace

CHILD = "sfic_bench.sweeping.jobs.child"
"""The module that is one process of a training by several."""

CHECKED_EVERY_S = 1.0

LAST_LINES = 100
"""How many of the last lines that the processes printed an error repeats."""


class RateReport(Struct, frozen=True, kw_only=True, tag="rate"):
    """A process's report of how fast the training is."""

    images_per_s: float


class FailureReport(Struct, frozen=True, kw_only=True, tag="failure"):
    """A process's report that it cannot train, because it lacks memory or for a reason that the user can mend."""

    reason: str
    lacks_memory: bool = False


Message = RateReport | FailureReport


@dataclass(slots=True)
class Reports:
    """A folder to which each process writes its messages as JSON lines, in a file of its own."""

    folder: Path
    read_to: dict[Path, int] = field(default_factory=dict)

    def write(self, message: Message) -> None:
        """Add one line to this process's file; a line is short enough to be written at once."""
        with (self.folder / f"{os.getpid()}.jsonl").open("ab") as file:
            file.write(json.encode(message) + b"\n")

    def new(self) -> Iterator[Message]:
        """The messages of all complete lines that this object has not read before."""
        for path in sorted(self.folder.glob("*.jsonl")):
            data = path.read_bytes()[self.read_to.get(path, 0) :]
            whole = data[: data.rfind(b"\n") + 1]
            self.read_to[path] = self.read_to.get(path, 0) + len(whole)
            yield from json.Decoder(Message).decode_lines(whole)


class TrainingFailed(SficBenchError):
    """One of several processes cannot train, for a reason that the user can mend."""


class ProcessesEnded(RuntimeError):
    """Processes that train together ended, and none reported why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One of a training's hosts, by its ``rank``; ``address`` is the first one's, as HOST:PORT."""

    rank: int
    address: str


def free_address(host: str) -> str:
    """An address on ``host``, which is this machine, at which nothing listens now."""
    with socket.create_server((host, 0)) as server:
        return f"{host}:{server.getsockname()[1]}"


def torchrun(
    job: Struct, arguments: Sequence[str], *, host: Host, hosts: int, devices: int, workplace: "Workplace",
    check: Callable[[], object],
) -> None:  # fmt: skip
    """Run `CHILD` with ``job`` and ``arguments`` in all processes of this host, and print what they print.

    Each host has one process for each of its ``devices``, which share the threads of ``workplace``. ``check`` is called
    every second, and stops the processes if it raises.

    Raises:
        TrainingFailed: if a process cannot train for a reason that the user can mend.
        torch.OutOfMemoryError: if a process had too little memory.
        ProcessesEnded: if a process failed for another reason.
    """
    address, _, port = host.address.rpartition(":")
    last: deque[str] = deque(maxlen=LAST_LINES)
    with tempfile.TemporaryDirectory(prefix="sfic-bench-") as temporary:
        path, folder = Path(temporary) / "job.json", Path(temporary) / "reports"
        path.write_bytes(json.encode(job))
        folder.mkdir()
        call = [
            sys.executable, "-m", "torch.distributed.run",
            "--nnodes", str(hosts), "--node-rank", str(host.rank), "--nproc-per-node", str(devices),
            "--master-addr", address, "--master-port", port,
            "-m", CHILD, str(path), *arguments, str(folder),
        ]  # fmt: skip
        reports = Reports(folder)
        with subprocess.Popen(
            call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(max(1, workplace.threads // devices))},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            reader = Thread(target=_print, args=(process.stdout, last), daemon=True)
            reader.start()
            try:
                while process.poll() is None:
                    check()
                    for message in reports.new():
                        if isinstance(message, RateReport):
                            workplace.report_rate(message.images_per_s)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(CHECKED_EVERY_S)
            finally:
                process.kill()  # its processes end with their standard input
            reader.join()
        if process.returncode:
            _raise_reason(process.returncode, Reports(folder).new(), last)


def _print(lines: IO[str], last: deque[str]) -> None:
    for line in lines:
        last.append(line)
        print(line, end="")


def _raise_reason(status: int, messages: Iterable[Message], last: Sequence[str]) -> None:
    for message in messages:
        if isinstance(message, FailureReport):
            raise torch.OutOfMemoryError(message.reason) if message.lacks_memory else TrainingFailed(message.reason)
    printed = "".join(last)
    raise ProcessesEnded(f"processes that train together ended with exit status {status}\n{printed}")
