"""Sweeps: many jobs from a file, on this machine or on a Ray cluster, and where they stand."""

import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.commands.given import LOG, FilePath, training_packages
from sfic_bench.errors import InvalidValue, member

if TYPE_CHECKING:
    from sfic_bench.sweeping.engines import Engine
    from sfic_bench.sweeping.kept import Failure
    from sfic_bench.sweeping.progress import Driver, SweepProgress, SweepResult, Watch
    from sfic_bench.sweeping.store import Store

SHOWN = 20
"""How many failed cells have their reasons in a result at most."""


class EngineName(StrEnum):
    """What runs a sweep's jobs."""

    RAY = "ray"
    LOCAL = "local"


def sweep(
    spec: FilePath,
    output: str = "sweep",
    *,
    engine: EngineName | str = EngineName.RAY,
    address: str | None = None,
    may_grow: bool = False,
    watch: "Watch | None" = None,
) -> "SweepResult":
    """Do what a sweep file asks for, as far as there are no results of it yet.

    Every cell keeps its own result as soon as it has one, so that the same call goes on with a sweep that was stopped,
    and a file that asks for more adds to it. At the end the results of all cells are merged into the few files that
    `sfic_bench.compare` and `sfic_bench.report` read.

    Args:
        spec: the sweep file, in TOML.
        output: the folder or URL where results are kept; all nodes must reach it.
        engine: ``"ray"``, or ``"local"`` for one job after another in this process.
        address: a Ray cluster, ``auto``, ``HOST:PORT`` or ``ray://…``; Ray starts on this machine if not given.
        may_grow: the cluster starts nodes on demand: wait for what no node has.
        watch: is called every second with where the sweep stands.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM; finished jobs keep their results.
        InUse: if another sweep writes to ``output``.
        EngineFailed: if what a node writes does not arrive there.
        InvalidValue, UnknownName: for a file or an argument that cannot be used.
    """
    chosen = member(EngineName, engine, "engine")
    if chosen is EngineName.LOCAL and address is not None:
        raise InvalidValue("--address names a Ray cluster: leave it out, or --engine local")
    with training_packages():
        from sfic_bench.sweeping.collect import collect
        from sfic_bench.sweeping.kept import put_damaged_aside
        from sfic_bench.sweeping.plan import computed_before, tasks_of
        from sfic_bench.sweeping.run import sweep as run
        from sfic_bench.sweeping.spec import read_sweep
        from sfic_bench.sweeping.store import Store

        jobs = read_sweep(Path(spec))
        store = Store(output if "://" in output else str(Path(output).resolve()))
        runner = _engine(chosen, address)
        try:
            tasks = tasks_of(jobs, runner.nodes, store, may_grow=may_grow)
            if older := computed_before(tasks, store):
                LOG.warning(
                    "%s results in %s were computed with other code, another torch or on another device, such as %s: "
                    "they stay where they are, and are computed again", f"{len(older):,}", output, older[0],
                )  # fmt: skip
            if damaged := put_damaged_aside(store, [task.key for task in tasks]):
                LOG.warning(
                    "%s results in %s cannot be read, such as %s: they are moved to its folder damaged, and computed "
                    "again",
                    f"{len(damaged):,}", output, damaged[0],
                )  # fmt: skip
            with _sigterm_as_ctrl_c():  # after the engine's start, since Ray handles signals in its own way
                progress = run(tasks, runner, store, watch or _unwatched)
        finally:
            runner.close()
        files = collect(tasks, store)
    failures = _failures(store, progress.reasons)
    if files:
        LOG.info("results are in %s: %s", output, ", ".join(files))
    else:
        LOG.info("no results in %s", output)
    return _result(progress.driver(), progress.total, progress.done, progress.failed, failures)


def sweep_status(output: str) -> "SweepResult":
    """Say where a sweep stands, while another process drives it or after its end.

    Args:
        output: the folder or URL where it keeps its results.

    Raises:
        UnusableStore: if there is no sweep.
    """
    from sfic_bench.sweeping.kept import DRIVER, PLAN, Plan
    from sfic_bench.sweeping.progress import Driver
    from sfic_bench.sweeping.store import Store, UnusableStore

    store = Store(output)
    plan, driver = store.read(PLAN, Plan), store.read(DRIVER, Driver)
    if plan is None or driver is None:
        raise UnusableStore(f"{output} has no sweep: expected {PLAN} and {DRIVER} in it")
    done_keys, failed_keys = store.keys("results"), store.keys("failed")
    commands = {key: title.partition(" ")[0] for key, title in plan.titles.items()}
    done = Counter(command for key, command in commands.items() if key in done_keys)
    unsolved = [key for key in commands if key in failed_keys - done_keys]
    failed = Counter(commands[key] for key in unsolved)
    return _result(driver, Counter(commands.values()), done, failed, _failures(store, unsolved))


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM, which a cluster's scheduler sends at the end of a job's time, stops a sweep as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _engine(name: EngineName, address: str | None) -> "Engine":
    if name is EngineName.LOCAL:
        from sfic_bench.sweeping.engines import Local

        return Local()
    from sfic_bench.sweeping.on_ray import OnRay

    return OnRay(address)


def _unwatched(progress: "SweepProgress") -> None:
    pass


def _failures(store: "Store", keys: Iterable[str]) -> "dict[str, Failure]":
    """The kept failures of the first `SHOWN` of ``keys``."""
    from sfic_bench.sweeping.kept import Failure

    files = {key: store.read(f"failed/{key}.json", Failure) for key in list(keys)[:SHOWN]}
    return {key: failure for key, failure in files.items() if failure is not None}


def _result(
    driver: "Driver", total: Counter[str], done: Counter[str], failed: Counter[str], failures: "dict[str, Failure]"
) -> "SweepResult":
    """The number of cells by command, what is running, and why the cells in ``failures`` failed."""
    from sfic_bench.sweeping.progress import CommandRow, SweepResult

    now = Counter(job.command for job in driver.running.values())
    rows = [
        CommandRow(
            command=command, done=done[command], running=now[command], failed=failed[command],
            left=count - done[command] - failed[command], of=count,
        )
        for command, count in total.items()
    ]  # fmt: skip
    return SweepResult(commands=rows, driver=driver, failed=failures)
