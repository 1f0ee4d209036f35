"""``sfic-bench sweep``: a whole grid of commands, on this machine or on a Ray cluster."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from typer.core import TyperGroup

import sfic_bench
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, say
from sfic_bench.cli.terminal import view_of
from sfic_bench.commands.sweeping import EngineName
from sfic_bench.reporting.table import renderable

if TYPE_CHECKING:
    from sfic_bench.sweeping.progress import SweepProgress

PRINTED_EVERY_S = 30.0
"""How often a sweep without a terminal says where it stands."""


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
    try:
        with _watched() as watch:
            result = sfic_bench.sweep(spec, output, engine=engine, address=address, may_grow=may_grow, watch=watch)
    except KeyboardInterrupt:
        say(f"sfic-bench: interrupted; the same command goes on with what is in {output}")
        raise typer.Exit(130) from None
    Output(format=format, path=None).emit(view_of(result, rows=result.commands))
    if any(row.failed for row in result.commands):
        raise typer.Exit(1)


@sweep_app.command("status")
def status_command(
    output: Annotated[str, typer.Argument(metavar="DIR|URL", help="Where a sweep keeps its results.")],
    format: options.FormatOption = Format.TABLE,
) -> None:
    """Say where a sweep stands, from another terminal or after its end."""
    result = sfic_bench.sweep_status(output)
    Output(format=format, path=None).emit(view_of(result, rows=result.commands))


@contextmanager
def _watched() -> "Iterator[Callable[[SweepProgress], None]]":
    """A function that shows each failure and where a sweep stands: a live table on a terminal, else a line at times."""
    from sfic_bench.commands.work_tables import rates, running_table

    # This stays the terminal when sys.stderr becomes the log of a job that runs in this process.
    console, printed_at, reported = Console(file=sys.stderr, highlight=False), 0.0, 0
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def watch(progress: "SweepProgress") -> None:
            nonlocal printed_at, reported
            for reason in list(progress.reasons.values())[reported:]:
                console.print(f"failed: {reason}", markup=False, soft_wrap=True)
            reported = len(progress.reasons)
            parts = [f"{progress.done.total():,} of {progress.total.total():,} cells done"]
            parts += [f"{progress.failed.total():,} failed"] if progress.failed else []
            line = f"{progress.engine}: " + ", ".join([*parts, *rates(progress)])
            if console.is_terminal:
                table = running_table(list(progress.running.values()))
                columns = range(len(table.columns))
                live.update(Group(Text(line, "bold"), renderable(table, columns)), refresh=True)
            elif time.monotonic() - printed_at > PRINTED_EVERY_S:
                printed_at = time.monotonic()
                console.print(line, markup=False, soft_wrap=True)

        yield watch
