"""Processes that end with the one that started them, even if that one is killed."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Thread

STARTER = "SFIC_BENCH_STARTER"
"""The environment variable with the number of the process that starts others."""

CHECKED_EVERY_S = 0.5


def cores() -> int:
    """How many cores this process may use: those of the system, or fewer where it was given some (``taskset``)."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def is_first_process() -> bool:
    """Whether this process speaks for all processes that train together.

    Torchrun and Fabric number the processes in the environment.
    """
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


@contextmanager
def named_starter() -> Iterator[None]:
    """Tell the processes that this one starts within the block, and no later ones, that it is the one to end with."""
    os.environ[STARTER] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(STARTER, None)


def start_worker() -> None:
    """Let a worker process of a pool end at once by Ctrl-C, and with the process that started it, even if killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def end_with_starter() -> None:
    """End this process when its starter has ended, perhaps already; do nothing if none is named."""
    starter = int(os.environ.pop(STARTER, "0"))
    if not starter:
        return

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(CHECKED_EVERY_S)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
