"""``sfic-bench sweep``: a whole grid of commands, on this machine or on a Ray cluster."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from typer.core import TyperGroup

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, View, say
from sfic_bench.cli.training_options import training_packages
from sfic_bench.errors import InvalidValue
from sfic_bench.report import Table
from sfic_bench.report.cells import number
from sfic_bench.report.columns import Cells, tabulated
from sfic_bench.report.table import renderable
from sfic_bench.units import format_duration

if TYPE_CHECKING:
    from sfic_bench.sweep.engines import Engine, Running
    from sfic_bench.sweep.kept import Failure
    from sfic_bench.sweep.progress import CommandRow, Driver, SweepProgress
    from sfic_bench.sweep.store import Store


SHOWN = 20
"""How many running or failed cells are listed at most."""

PRINTED_EVERY_S = 30.0
"""How often a sweep without a terminal says where it stands."""


class EngineName(StrEnum):
    """What runs a sweep's jobs."""

    RAY = "ray"
    LOCAL = "local"


class _Group(TyperGroup):
    """``sweep SPEC.toml`` is short for ``sweep run SPEC.toml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


sweep_app = options.CommandApp(
    cls=_Group,
    no_args_is_help=True,
    help="Do a whole grid of commands, on this machine or on a Ray cluster: sweep SPEC.toml (see sweep run --help), "
    "sweep status DIR.",
)


@sweep_app.command("run")
def run_command(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="The sweep file; see docs/sweeping.md.")],
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT|ray://…",
            show_default=False,
            help="A Ray cluster. Without one, Ray starts on this machine.",
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR|URL", help="Where results are kept: all nodes must reach it.")
    ] = "sweep",
    engine: Annotated[EngineName, typer.Option(help="local: in this process, one job after another.")] = EngineName.RAY,
    may_grow: Annotated[
        bool, typer.Option("--may-grow", help="The cluster starts nodes on demand: wait for what no node has.")
    ] = False,
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Do what a sweep file asks for, as far as there are no results of it yet.

    Every cell keeps its own result as soon as it has one, so that the same command goes on with a sweep that was
    stopped, and a file that asks for more adds to it. Exit status 1 if a cell failed.
    """
    if engine is EngineName.LOCAL and address is not None:
        raise InvalidValue("--address names a Ray cluster: leave it out, or --engine local")
    with training_packages():
        from sfic_bench.sweep.collect import collect
        from sfic_bench.sweep.kept import put_damaged_aside
        from sfic_bench.sweep.plan import computed_before, tasks_of
        from sfic_bench.sweep.run import sweep
        from sfic_bench.sweep.spec import read_sweep
        from sfic_bench.sweep.store import Store

        jobs = read_sweep(spec)
        store = Store(output if "://" in output else str(Path(output).resolve()))
        chosen = _engine(engine, address)
        try:
            tasks = tasks_of(jobs, chosen.nodes, store, may_grow=may_grow)
            if older := computed_before(tasks, store):
                say(
                    f"sfic-bench: {len(older):,} results in {output} were computed with other code, another torch or "
                    f"on another device, such as {older[0]}: they stay where they are, and are computed again"
                )
            if damaged := put_damaged_aside(store, [task.key for task in tasks]):
                say(
                    f"sfic-bench: {len(damaged):,} results in {output} cannot be read, such as {damaged[0]}: they are "
                    "moved to its folder damaged, and computed again"
                )
            with _sigterm_as_ctrl_c(), _watched() as watch:
                progress = sweep(tasks, chosen, store, watch)
        except KeyboardInterrupt:
            say(f"sfic-bench: interrupted; the same command goes on with what is in {output}")
            raise typer.Exit(130) from None
        finally:
            chosen.close()
        files = collect(tasks, store)
    failures = _failures(store, progress.reasons)
    view = _view(progress.driver(), progress.total, progress.done, progress.failed, failures)
    Output(format=format, path=None).emit(view)
    say(f"sfic-bench: results are in {output}: {', '.join(files)}" if files else f"sfic-bench: no results in {output}")
    if progress.failed:
        raise typer.Exit(1)


@sweep_app.command("status")
def status_command(
    output: Annotated[str, typer.Argument(metavar="DIR|URL", help="Where a sweep keeps its results.")],
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Say where a sweep stands, from another terminal or after its end."""
    from sfic_bench.sweep.kept import DRIVER, PLAN, Plan
    from sfic_bench.sweep.progress import Driver
    from sfic_bench.sweep.store import Store, UnusableStore

    store = Store(output)
    plan, driver = store.read(PLAN, Plan), store.read(DRIVER, Driver)
    if plan is None or driver is None:
        raise UnusableStore(f"{output} has no sweep: expected {PLAN} and {DRIVER} in it")
    done_keys, failed_keys = store.keys("results"), store.keys("failed")
    commands = {key: title.partition(" ")[0] for key, title in plan.titles.items()}
    done = Counter(command for key, command in commands.items() if key in done_keys)
    unsolved = [key for key in commands if key in failed_keys - done_keys]
    failed = Counter(commands[key] for key in unsolved)
    view = _view(driver, Counter(commands.values()), done, failed, _failures(store, unsolved))
    Output(format=format, path=None).emit(view)


def _engine(name: EngineName, address: str | None) -> "Engine":
    if name is EngineName.LOCAL:
        from sfic_bench.sweep.engines import Local

        return Local()
    from sfic_bench.sweep.on_ray import OnRay

    return OnRay(address)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM, which a cluster's scheduler sends at the end of a job's time, stops a sweep as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failures(store: "Store", keys: Iterable[str]) -> "dict[str, Failure]":
    """The kept failures of the first `SHOWN` of ``keys``."""
    from sfic_bench.sweep.kept import Failure

    files = {key: store.read(f"failed/{key}.json", Failure) for key in list(keys)[:SHOWN]}
    return {key: failure for key, failure in files.items() if failure is not None}


@contextmanager
def _watched() -> "Iterator[Callable[[SweepProgress], None]]":
    """A function that shows each failure and where a sweep stands: a live table on a terminal, else a line at times."""
    # This stays the terminal when sys.stderr becomes the log of a job that runs in this process.
    console, printed_at, reported = Console(file=sys.stderr, highlight=False), 0.0, 0
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def watch(progress: "SweepProgress") -> None:
            nonlocal printed_at, reported
            for reason in list(progress.reasons.values())[reported:]:
                console.print(f"failed: {reason}", markup=False, soft_wrap=True)
            reported = len(progress.reasons)
            line = _line(progress)
            if console.is_terminal:
                table = _running_table(list(progress.running.values()))
                columns = range(len(table.columns))
                live.update(Group(Text(line, "bold"), renderable(table, columns)), refresh=True)
            elif time.monotonic() - printed_at > PRINTED_EVERY_S:
                printed_at = time.monotonic()
                console.print(line, markup=False, soft_wrap=True)

        yield watch


def _line(progress: "SweepProgress") -> str:
    parts = [f"{progress.done.total():,} of {progress.total.total():,} cells done"]
    parts += [f"{progress.failed.total():,} failed"] if progress.failed else []
    return f"{progress.engine}: " + ", ".join([*parts, *_rates(progress)])


def _rates(progress: "SweepProgress | Driver") -> list[str]:
    """The speed of a sweep and the time that is left, as far as they are known."""
    rates = [f"{progress.images_per_s:,.0f} images/s"] if progress.images_per_s else []
    return rates + ([f"{format_duration(progress.seconds_left)} left"] if progress.seconds_left is not None else [])


def _running_table(running: "Sequence[Running]") -> Table:
    columns: tuple[Cells[Running], ...] = (
        Cells("running", lambda job: job.title, number=False, always=True),
        Cells("on", lambda job: job.host, number=False, always=True),
        Cells("for", lambda job: format_duration(time.time() - job.since), always=True),
        Cells("images/s", lambda job: number(job.images_per_s, ",.0f"), always=True),
    )
    return tabulated("Now", columns, running[:SHOWN])


def _view(
    driver: "Driver", total: Counter[str], done: Counter[str], failed: Counter[str], failures: "Mapping[str, Failure]"
) -> View:
    """The number of cells by command, what is running, and why the cells in ``failures`` failed."""
    from sfic_bench.sweep.progress import CommandRow, SweepResult

    running = list(driver.running.values())
    now = Counter(job.command for job in running)
    rows = [
        CommandRow(
            command=command, done=done[command], running=now[command], failed=failed[command],
            left=count - done[command] - failed[command], of=count,
        )
        for command, count in total.items()
    ]  # fmt: skip
    notes = [f"{driver.engine}, driven from {driver.host} (process {driver.pid})"]
    if driver.is_alive:
        notes += _rates(driver)
    else:
        running = []
        if any(row.left for row in rows):
            age = format_duration(time.time() - driver.updated)
            notes.append(f"it ended {age} ago: the same command goes on with the rest")
    columns = [
        Cells[CommandRow]("command", lambda row: row.command, number=False),
        *map(_count_column, ("done", "running", "failed", "left", "of")),
    ]
    tables = [tabulated("Cells", columns, rows, notes=notes)]
    tables += [_running_table(running)] if running else []
    if failures:
        more = failed.total() - len(failures)
        failed_columns: tuple[Cells[tuple[str, Failure]], ...] = (
            Cells("cell", lambda item: item[1].title, number=False),
            Cells("on", lambda item: item[1].host, number=False),
            Cells("cause", lambda item: item[1].cause, number=False),
            Cells("reason", lambda item: item[1].reason, number=False),
            Cells("log", lambda item: f"failed/{item[0]}.log", number=False),
        )
        notes = [f"and {more:,} more"] if more else []
        tables.append(tabulated("Failed", failed_columns, list(failures.items()), notes=notes))
    result = SweepResult(commands=rows, driver=driver, failed=dict(failures))
    return View(result=result, tables=tables, rows=rows)


def _count_column(name: str) -> "Cells[CommandRow]":
    return Cells(name, lambda row: f"{getattr(row, name):,}", always=True)
