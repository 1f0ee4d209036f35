"""Processes that train one network together: torchrun starts those of a host, and this module watches torchrun.

``python -m torch.distributed.run … -m sfic_bench.sweep.launch CELL.json RUN BATCH`` is one of them.
https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import IO

import torch

from sfic_bench.errors import SficBenchError, first_line
from sfic_bench.sweep.cell import Cell, Needs
from sfic_bench.sweep.work import Tell

RATE = "sfic-bench: images/s "
FAILED = "sfic-bench: failed: "

CHECKED_EVERY_S = 1.0

LAST_LINES = 100
"""That an error tells of what was printed."""


class TrainingFailed(SficBenchError):
    """What one of several processes could not do."""


class ProcessesEnded(RuntimeError):
    """Processes that train together ended, and none said why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """Which of a training's hosts this is; ``address`` is the first one's, as HOST:PORT."""

    rank: int
    address: str


def free_address(host: str) -> str:
    """An address on ``host``, which is this one, that nothing listens at now."""
    with socket.create_server((host, 0)) as server:
        return f"{host}:{server.getsockname()[1]}"


def torchrun(
    cell: Cell, folder: Path, batch_size: int, threads: int, host: Host, tell: Tell, check: Callable[[], None]
) -> None:
    """Train with all of this host's processes; what they print is printed.

    Args:
        cell: what to train.
        folder: of the run, the same for all hosts.
        batch_size: images a step, over all.
        threads: of all processes of this host together.
        host: this one.
        tell: is told how fast it is.
        check: is called now and then, and raises to stop.

    Raises:
        TrainingFailed: what a process raised, if that is for the user to mend.
        torch.OutOfMemoryError: if a process had too little memory.
        ProcessesEnded: if one ended otherwise.
    """
    address, _, port = host.address.rpartition(":")
    seen = _Seen(tell)
    with tempfile.TemporaryDirectory(prefix="sfic-bench-") as temporary:
        path = Path(temporary) / "cell.json"
        path.write_text(json.dumps(asdict(cell)), encoding="utf-8")
        call = [
            sys.executable, "-m", "torch.distributed.run",
            "--nnodes", str(cell.needs.hosts), "--node-rank", str(host.rank), "--nproc-per-node", str(cell.asked["devices"]),
            "--master-addr", address, "--master-port", port,
            "-m", "sfic_bench.sweep.launch", str(path), str(folder), str(batch_size),
        ]  # fmt: skip
        each = str(max(1, threads // int(cell.asked["devices"])))
        with subprocess.Popen(
            call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": each},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            reader = Thread(target=seen.read, args=(process.stdout,), daemon=True)
            reader.start()
            try:
                while process.poll() is None:
                    check()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(CHECKED_EVERY_S)
            finally:
                process.kill()  # its processes end with their standard input
            reader.join()
    if process.returncode:
        seen.explain(process.returncode)


class _Seen:
    """What the processes print."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.failure = ""
        self.short_of_memory = False
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def read(self, lines: IO[str]) -> None:
        for line in lines:
            if line.startswith(RATE):
                self.tell(float(line.removeprefix(RATE)))
                continue
            if line.startswith(FAILED):
                self.failure = self.failure or line.removeprefix(FAILED).strip()
            self.short_of_memory |= "OutOfMemoryError" in line
            self.last.append(line)
            print(line, end="")

    def explain(self, status: int) -> None:
        if self.failure:
            raise TrainingFailed(self.failure)
        if self.short_of_memory:
            raise torch.OutOfMemoryError("a process of a training by several ran out of memory")
        said = "".join(self.last)
        raise ProcessesEnded(f"processes that train together ended with exit status {status}\n{said}")


def main() -> None:
    """One of the processes. It ends when whoever started torchrun is gone."""
    from sfic_bench.sweep import training
    from sfic_bench.train.runs import Run

    Thread(target=_end_with_starter, daemon=True).start()
    path, folder, batch_size = sys.argv[1:]
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    cell = Cell(**{**told, "needs": Needs(**told["needs"])})
    try:
        training.train(
            cell, Run(Path(folder)), int(batch_size), lambda rate: print(f"{RATE}{rate}", flush=True)
        )
    except SficBenchError as error:
        print(f"{FAILED}{first_line(error)}", flush=True)
        raise


def _end_with_starter() -> None:
    os.read(sys.stdin.fileno(), 1)  # comes back when nobody holds the other end
    os._exit(1)


if __name__ == "__main__":
    main()
