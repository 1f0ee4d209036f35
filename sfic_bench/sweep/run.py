"""A sweep from its tasks to their results: what is left to do is done, and everything known of it is written down."""

import time
from collections import Counter
from collections.abc import Sequence

from sfic_bench.errors import SficBenchError
from sfic_bench.sweep.engines import Engine, EngineFailed
from sfic_bench.sweep.kept import DRIVER, PLAN, Plan
from sfic_bench.sweep.progress import STALE_S, Driver, SweepProgress, Watch
from sfic_bench.sweep.store import Store, called_every
from sfic_bench.sweep.work import Outcome, Task, keep_failure

WRITTEN_EVERY_S, WATCHED_EVERY_S = 2.0, 1.0

ARRIVES_WITHIN_S = 5.0
"""What a node has kept must be seen from here after so long."""


class InUse(SficBenchError):
    """A folder or URL that another sweep writes to."""


def sweep(tasks: Sequence[Task], engine: Engine, store: Store, watch: Watch) -> SweepProgress:
    """Do those of ``tasks`` that have no result yet.

    A cell that failed is tried again, since what failed it may have been mended; within one sweep only a failure of the machine
    is. ``watch`` is called every second, by a thread, and in the end.

    Raises:
        InUse: if another sweep is writing there.
        KeyboardInterrupt: as it comes; what is finished is kept.
        EngineFailed: if a node keeps its results elsewhere.
        UnwritableOutput: if results cannot be kept.
    """
    other = store.read(DRIVER, Driver)
    if other is not None and other.is_alive:
        raise InUse(
            f"{store.root} is another sweep's, driven from {other.host} (process {other.pid}): wait for its end, or choose "
            f"another place; if it was killed, try again in {STALE_S:g} s"
        )
    store.remove_unfinished("state", "results", "failed")
    by_key = {task.key: task for task in tasks}
    has = store.keys("results")
    progress = SweepProgress(
        engine=engine.name,
        total=Counter(task.job.command for task in tasks),
        done=Counter(task.job.command for task in tasks if task.key in has),
    )

    def tick() -> None:
        progress.running = dict(engine.running())
        watch(progress)
        if time.time() - written[0] > WRITTEN_EVERY_S:
            written[0] = time.time()
            store.write(DRIVER, progress.driver())

    store.write(PLAN, Plan(cells={task.key: str(task.job) for task in tasks}))
    store.write(DRIVER, progress.driver())
    written, seen_on = [time.time()], set[str]()
    try:
        with called_every(WATCHED_EVERY_S, tick):
            for outcome in engine.run([task for task in tasks if task.key not in has]):
                _count(progress, by_key[outcome.key], outcome, store, seen_on)
    finally:
        progress.running, progress.over = {}, True
        store.write(DRIVER, progress.driver())
    watch(progress)
    return progress


def _count(progress: SweepProgress, task: Task, outcome: Outcome, store: Store, seen_on: set[str]) -> None:
    command = task.job.command
    progress.ended[command] += 1
    progress.spent_s[command] = progress.spent_s.get(command, 0.0) + outcome.seconds
    if outcome.status == "failed":
        progress.failed[command] += 1
        progress.reasons[task.key] = f"{task.job}: {outcome.reason}"
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
