"""Where a command's result goes: data on stdout or in a file, everything else on stderr."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from sfic_bench.report import Table, to_csv, to_markdown, to_plain, to_terminal
from sfic_bench.results.files import check_writable, write_atomically
from sfic_bench.results.write import to_json
from sfic_bench.statistics.intervals import Interval


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


@dataclass(frozen=True, kw_only=True)
class View:
    """A command's result, and what is shown of it.

    Attributes:
        result: written as JSON.
        tables: written as text and as Markdown.
        rows: written as CSV, one line each.
    """

    result: Struct
    tables: Sequence[Table]
    rows: Sequence[Struct]


@dataclass(frozen=True, kw_only=True)
class Output:
    """The ``--format`` and ``--output`` of a command; checked before the work starts."""

    format: Format
    path: Path | None

    def __post_init__(self) -> None:
        if self.path is not None:
            check_writable(self.path)

    def keep(self, view: View) -> None:
        """Write an unfinished ``view`` to ``--output`` if there is one, so that no end loses it."""
        if self.path is not None:
            write_atomically(self.path, self._text(view))

    def emit(self, view: View) -> None:
        if self.path is None and self.format is Format.TABLE:
            # In a pipe there is no width to fit into; cutting columns would lose figures.
            to_terminal(view.tables, Console(width=None if sys.stdout.isatty() else 200))
            return
        text = self._text(view)
        if self.path is None:
            sys.stdout.write(text)
        else:
            write_atomically(self.path, text)
            say(f"wrote {self.path}")

    def _text(self, view: View) -> str:
        match self.format:
            case Format.TABLE:
                return to_plain(view.tables)
            case Format.JSON:
                return to_json(view.result)
            case Format.CSV:
                return to_csv([flat(row) for row in view.rows])
            case Format.MARKDOWN:
                return to_markdown(view.tables)


def flat(row: Struct) -> dict[str, object]:
    """``row`` as one line of CSV: an interval is three columns, a mapping one for each key; lists stay in JSON."""
    line: dict[str, object] = {}
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, Interval):
            line |= {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}
        elif isinstance(value, dict):
            line |= {f"{name}_{key}": part for key, part in value.items() if not isinstance(part, dict)}
        elif not isinstance(value, list):
            line[name] = value
    return line


def say(message: str) -> None:
    """A word to the person, on stderr."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True)


@contextmanager
def progress(what: str, total: int) -> Iterator["Step"]:
    """A bar on stderr while it lasts, if stderr is a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield Step(bar, bar.add_task(what, total=total))


@dataclass(frozen=True)
class Step:
    """Moves the bar on by one."""

    bar: Progress
    task: TaskID

    def __call__(self, now: str) -> None:
        self.bar.update(self.task, advance=1, description=now)
