"""A sweep from its tasks to their results: tasks without a result are run, and what becomes of them is kept."""

import time
from collections import Counter
from collections.abc import Sequence

from sfic_bench.errors import SficBenchError
from sfic_bench.sweeping.engines import Engine, EngineFailed
from sfic_bench.sweeping.kept import DRIVER, PLAN, Plan
from sfic_bench.sweeping.progress import STALE_S, Driver, SweepProgress, Watch
from sfic_bench.sweeping.store import Store, called_every
from sfic_bench.sweeping.work import JobOutcome, Task, keep_failure

WRITTEN_EVERY_S, WATCHED_EVERY_S = 2.0, 1.0

ARRIVES_WITHIN_S = 5.0
"""How long a result may take from the node that keeps it to this process, through a shared file system."""


class InUse(SficBenchError):
    """A folder or URL that another sweep writes to."""


def sweep(tasks: Sequence[Task], engine: Engine, store: Store, watch: Watch) -> SweepProgress:
    """Run those of ``tasks`` that have no result yet.

    That includes jobs that failed in an earlier sweep, because the cause may have been removed. ``watch`` is called
    every second by another thread, and at the end.

    Raises:
        InUse: if another sweep is writing to ``store``.
        KeyboardInterrupt: on Ctrl-C; finished jobs keep their results.
        EngineFailed: if what a node writes does not arrive in ``store``.
        UnwritableOutput: if results cannot be kept.
    """
    other = store.read(DRIVER, Driver)
    if other is not None and other.is_alive:
        raise InUse(
            f"{store.root} is another sweep's, driven from {other.host} (process {other.pid}): wait for its end, or "
            f"choose another place; if it was killed, try again in {STALE_S:g} s"
        )
    store.remove_unfinished("state", "results", "failed")
    by_key = {task.key: task for task in tasks}
    finished = store.keys("results")
    progress = SweepProgress(
        engine=engine.name,
        total=Counter(task.job.command for task in tasks),
        done=Counter(task.job.command for task in tasks if task.key in finished),
    )
    written_at, seen_hosts = time.time(), set[str]()

    def tick() -> None:
        nonlocal written_at
        progress.running = dict(engine.running())
        watch(progress)
        if time.time() - written_at > WRITTEN_EVERY_S:
            written_at = time.time()
            store.write(DRIVER, progress.driver())

    store.write(PLAN, Plan(titles={task.key: str(task.job) for task in tasks}))
    store.write(DRIVER, progress.driver())
    try:
        with called_every(WATCHED_EVERY_S, tick):
            for outcome in engine.run([task for task in tasks if task.key not in finished]):
                _count(progress, by_key[outcome.key], outcome, store, seen_hosts)
    finally:
        progress.running, progress.over = {}, True
        store.write(DRIVER, progress.driver())
    watch(progress)
    return progress


def _count(progress: SweepProgress, task: Task, outcome: JobOutcome, store: Store, seen_hosts: set[str]) -> None:
    command = task.job.command
    progress.ended[command] += 1
    progress.spent_s[command] = progress.spent_s.get(command, 0.0) + outcome.seconds
    if outcome.cause:
        progress.failed[command] += 1
        progress.reasons[task.key] = f"{task.job}: {outcome.reason}"
        if outcome.cause == "machine":  # no node could keep the reason
            keep_failure(store, task, outcome, f"{outcome.reason}\n")
        return
    progress.done[command] += 1
    # The first result of each host shows whether what it writes arrives here.
    if outcome.host not in seen_hosts and not _arrives(store, f"results/{task.key}.json"):
        raise EngineFailed(
            f"{outcome.host} keeps results in a {store.root} of its own: choose a folder that all nodes share, or a URL"
        )
    seen_hosts.add(outcome.host)


def _arrives(store: Store, name: str) -> bool:
    end = time.monotonic() + ARRIVES_WITHIN_S
    while not store.has(name):
        if time.monotonic() > end:
            return False
        time.sleep(ARRIVES_WITHIN_S / 10)
    return True
