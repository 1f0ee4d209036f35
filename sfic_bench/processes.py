"""Processes that end with the one that started them, even if that one is killed."""

import os
import time
from threading import Thread

STARTER = "SFIC_BENCH_STARTER"
"""The environment variable with the number of the process that starts others."""

CHECKED_EVERY_S = 0.5


def name_starter() -> None:
    """Tell the processes that this one starts that it is the one to end with."""
    os.environ[STARTER] = str(os.getpid())


def end_with_starter() -> None:
    """End this process when its starter has ended, perhaps already; do nothing if it has none or is the starter."""
    starter = int(os.environ.get(STARTER) or 0)
    if starter in (0, os.getpid()):
        return

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(CHECKED_EVERY_S)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
