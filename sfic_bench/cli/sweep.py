"""``sfic-bench sweep``: many cells, on this machine or on a Ray cluster."""

import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from typer.core import TyperGroup

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result, say
from sfic_bench.cli.training import training_room
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.report import Column, Table
from sfic_bench.report.table import renderable

if TYPE_CHECKING:
    from sfic_bench.sweep.engines import Engine, Running
    from sfic_bench.sweep.run import Progress
    from sfic_bench.sweep.store import Store

SCHEMA = "sfic-bench/sweep/1"
ENGINES = ("ray", "local")

SHOWN = 20
"""Running or failed cells that are listed at most."""

SAID_EVERY_S = 30.0
"""How often a sweep without a terminal says where it stands."""


class _Group(TyperGroup):
    """``sweep SPEC.toml`` is short for ``sweep run SPEC.toml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


sweep_app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    help="Do a whole grid of commands, on this machine or on a Ray cluster: sweep SPEC.toml (sweep run --help), sweep status DIR.",
)

OutputArgument = Annotated[
    str,
    typer.Option(
        "-o", "--output", metavar="DIR|URL", help="Where results are kept: all nodes must reach it."
    ),
]


@sweep_app.command("run")
def run_command(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="What to do; see docs/sweeping.md.")],
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT|ray://…",
            help="A Ray cluster. Without one, Ray starts on this machine.",
            show_default=False,
        ),
    ] = None,
    output: OutputArgument = "sweep",
    engine: Annotated[
        str, typer.Option(metavar="ray|local", help="local: in this process, one cell after another.")
    ] = "ray",
    may_grow: Annotated[
        bool,
        typer.Option(
            "--may-grow", help="The cluster starts nodes when they are wanted: wait for what no node has."
        ),
    ] = False,
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Do what a sweep file asks for, as far as there are no results of it yet.

    Every cell keeps its own result as soon as it has one, so that a sweep that was stopped, however, goes on, and one that
    asks for more adds to it. Exit status 1 if a cell failed.
    """
    if engine not in ENGINES:
        raise UnknownName("engine", engine, ENGINES)
    if engine == "local" and address is not None:
        raise InvalidValue("--address is of a Ray cluster: leave it out, or --engine local")
    with training_room():
        from sfic_bench.sweep.collect import collect
        from sfic_bench.sweep.run import sweep, tasks_of
        from sfic_bench.sweep.spec import read_sweep
        from sfic_bench.sweep.store import Store

        cells = read_sweep(spec)
        store = Store(output if "://" in output else str(Path(output).resolve()))
        chosen = _engine(engine, address)
        try:
            tasks = tasks_of(cells, chosen.nodes, store, may_grow=may_grow)
            with _ended_as_by_ctrl_c(), _watched() as watch:
                progress = sweep(tasks, chosen, store, watch)
        except KeyboardInterrupt:
            say(f"sfic-bench: interrupted; the same command goes on with what is in {output}")
            raise typer.Exit(130) from None
        finally:
            chosen.close()
        files = collect(tasks, store)
    failures = _failures(store, progress.reasons)
    Output(format=format, path=None).emit(
        _standing(progress.as_json(), progress.total, progress.done, progress.failed, failures)
    )
    say(
        f"sfic-bench: results are in {output}: {', '.join(files)}"
        if files
        else f"sfic-bench: no results in {output}"
    )
    if progress.failed:
        raise typer.Exit(1)


@sweep_app.command("status")
def status_command(
    output: Annotated[str, typer.Argument(metavar="DIR|URL", help="Where a sweep keeps its results.")],
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Say where a sweep stands, from another terminal or after its end."""
    from sfic_bench.sweep.run import DRIVER, PLAN
    from sfic_bench.sweep.store import Store, UnusableStore

    store = Store(output)
    plan, driver = store.read(PLAN), store.read(DRIVER)
    if plan is None or driver is None:
        raise UnusableStore(f"{output} has no sweep: expected {PLAN} and {DRIVER} in it")
    has, failed = store.keys("results"), store.keys("failed")
    commands = {key: str(title).partition(" ")[0] for key, title in plan["cells"].items()}
    total = Counter(commands.values())
    done = Counter(command for key, command in commands.items() if key in has)
    lost = [key for key in commands if key in failed - has]
    found = _standing(driver, total, done, Counter(commands[key] for key in lost), _failures(store, lost))
    Output(format=format, path=None).emit(found)


def _engine(name: str, address: str | None) -> "Engine":
    if name == "local":
        from sfic_bench.sweep.engines import Local

        return Local()
    from sfic_bench.sweep.on_ray import OnRay

    return OnRay(address)


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """What a cluster's scheduler sends at the end of a job's time stops a sweep as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failures(store: "Store", keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    return {key: store.read(f"failed/{key}.json") or {} for key in list(keys)[:SHOWN]}


@contextmanager
def _watched() -> Iterator[Any]:
    """A live table on a terminal; without one, a line now and then. Either way each failure as it comes."""
    console, said, told = Console(stderr=True, highlight=False), 0.0, 0
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def watch(progress: "Progress") -> None:
            nonlocal said, told
            for reason in list(progress.reasons.values())[told:]:
                console.print(f"failed: {reason}", markup=False, soft_wrap=True)
            told = len(progress.reasons)
            if console.is_terminal:
                live.update(_live(progress), refresh=True)
            elif time.monotonic() - said > SAID_EVERY_S:
                said = time.monotonic()
                console.print(_line(progress), markup=False, soft_wrap=True)

        yield watch


def _line(progress: "Progress") -> str:
    parts = [f"{progress.done.total():,} of {progress.total.total():,} cells done"]
    parts += [f"{progress.failed.total():,} failed"] if progress.failed else []
    parts += [f"{progress.images_per_s:,.0f} images/s"] if progress.images_per_s else []
    parts += [f"{_duration(progress.seconds_left)} left"] if progress.seconds_left is not None else []
    return f"{progress.engine}: " + ", ".join(parts)


def _live(progress: "Progress") -> Group:
    found = _now(list(progress.running.values()))
    return Group(Text(_line(progress), "bold"), renderable(found, range(len(found.columns))))


def _now(running: Sequence["Running"]) -> Table:
    columns = [Column(name=n, number=n in ("for", "images/s")) for n in ("running", "on", "for", "images/s")]
    rows = [
        [
            r.title,
            r.host,
            _duration(time.time() - r.since),
            "" if r.images_per_s is None else f"{r.images_per_s:,.0f}",
        ]
        for r in running[:SHOWN]
    ]
    return Table(title="Now", columns=columns, rows=rows)


def _standing(
    driver: Mapping[str, Any],
    total: Counter[str],
    done: Counter[str],
    failed: Counter[str],
    failures: Mapping[str, Mapping[str, Any]],
) -> Result:
    """Cells by command, what is running, and why what failed did; ``failures`` are `SHOWN` at most."""
    from sfic_bench.sweep.engines import Running
    from sfic_bench.sweep.run import is_alive

    running = [Running(**told) for told in driver["running"].values()]
    now = Counter(r.title.partition(" ")[0] for r in running)
    records = [
        {
            "command": command, "done": done[command], "running": now[command], "failed": failed[command],
            "left": count - done[command] - failed[command], "of": count,
        }
        for command, count in total.items()
    ]  # fmt: skip
    notes = [f"{driver['engine']}, driven from {driver['host']} (process {driver['pid']})"]
    if not is_alive(driver):
        running = []
        if any(record["left"] for record in records):
            age = _duration(time.time() - driver["updated"])
            notes.append(f"it ended {age} ago: the same command goes on with the rest")
    else:
        notes += [f"{_duration(driver['seconds_left'])} left"] if driver["seconds_left"] else []
        notes += [f"{driver['images_per_s']:,.0f} images/s"] if driver["images_per_s"] else []
    heads = ("command", "done", "running", "failed", "left", "of")
    columns = [Column(name=n, number=n != "command") for n in heads]
    cells = [[str(r["command"]), *(f"{r[n]:,}" for n in heads[1:])] for r in records]
    tables = [Table(title="Cells", columns=columns, rows=cells, notes=notes)]
    tables += [_now(running)] if running else []
    if failures:
        names = ("cell", "host", "cause", "reason")
        tables.append(
            Table(
                title="Failed",
                columns=[Column(name=n) for n in ("cell", "on", "to blame", "reason", "log")],
                rows=[
                    [*(str(t.get(n, "")) for n in names), f"failed/{key}.log"] for key, t in failures.items()
                ],
                notes=[f"and {failed.total() - len(failures):,} more"]
                if failed.total() > len(failures)
                else [],
            )
        )
    document = {"schema": SCHEMA, "cells": records, "driver": dict(driver), "failed": dict(failures)}
    return Result(document=document, tables=tables, records=records)


def _duration(seconds: float | None) -> str:
    """``1:02:03``, or ``2:03``."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
