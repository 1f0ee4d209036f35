"""Processes that train one network together: torchrun starts those of a host, and this module watches torchrun.

https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

import torch

from sfic_bench.errors import SficBenchError
from sfic_bench.sweep.messages import Failed, Message, OutOfMemory, Rate, Reports

CHECKED_EVERY_S = 1.0

LAST_LINES = 100
"""How many lines an error repeats of what the processes printed."""


class TrainingFailed(SficBenchError):
    """What one of several processes could not do."""


class ProcessesEnded(RuntimeError):
    """Processes that train together ended, and none said why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One of a training's hosts, by its ``rank``; ``address`` is the first one's, as HOST:PORT."""

    rank: int
    address: str


def free_address(host: str) -> str:
    """An address on ``host``, which is this one, that nothing listens at now."""
    with socket.create_server((host, 0)) as server:
        return f"{host}:{server.getsockname()[1]}"


def torchrun(
    module: str,
    job: bytes,
    arguments: Sequence[str],
    *,
    host: Host,
    hosts: int,
    devices: int,
    threads: int,
    report_rate: Callable[[float], object],
    check: Callable[[], None],
) -> None:
    """Run ``python -m module JOB.json *arguments REPORTS`` in all processes of this host; what they print is printed.

    Args:
        module: what each process runs; it reads ``job`` from a file, and writes `Message` lines to the folder REPORTS.
        job: what the file holds.
        arguments: of each process, after the file.
        host: this one.
        hosts: all that train together.
        devices: processes on each host.
        threads: of all processes of this host together.
        report_rate: is told how fast the training is.
        check: is called now and then, and raises to stop.

    Raises:
        TrainingFailed: what a process could not do, if that is for the user to mend.
        torch.OutOfMemoryError: if a process had too little memory.
        ProcessesEnded: if one ended otherwise.
    """
    address, _, port = host.address.rpartition(":")
    last: deque[str] = deque(maxlen=LAST_LINES)
    with tempfile.TemporaryDirectory(prefix="sfic-bench-") as temporary:
        path, folder = Path(temporary) / "job.json", Path(temporary) / "reports"
        path.write_bytes(job)
        folder.mkdir()
        call = [
            sys.executable, "-m", "torch.distributed.run",
            "--nnodes", str(hosts), "--node-rank", str(host.rank), "--nproc-per-node", str(devices),
            "--master-addr", address, "--master-port", port,
            "-m", module, str(path), *arguments, str(folder),
        ]  # fmt: skip
        reports, messages = Reports(folder), list[Message]()
        with subprocess.Popen(
            call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(max(1, threads // devices))},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            reader = Thread(target=_print, args=(process.stdout, last), daemon=True)
            reader.start()
            try:
                while process.poll() is None:
                    check()
                    for message in reports.new():
                        if isinstance(message, Rate):
                            report_rate(message.images_per_s)
                        else:
                            messages.append(message)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(CHECKED_EVERY_S)
            finally:
                process.kill()  # its processes end with their standard input
            reader.join()
        messages += reports.new()
    if process.returncode:
        _explain(process.returncode, messages, last)


def _print(lines: IO[str], last: deque[str]) -> None:
    for line in lines:
        last.append(line)
        print(line, end="")


def _explain(status: int, messages: Sequence[Message], last: Sequence[str]) -> None:
    for message in messages:
        if isinstance(message, Failed):
            raise TrainingFailed(message.reason)
        if isinstance(message, OutOfMemory):
            raise torch.OutOfMemoryError(message.reason)
    printed = "".join(last)
    raise ProcessesEnded(f"processes that train together ended with exit status {status}\n{printed}")
