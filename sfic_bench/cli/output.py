"""Where a command's result goes: data on stdout or in a file, everything else on stderr."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from sfic_bench.report import (
    Table,
    check_writable,
    to_csv,
    to_markdown,
    to_plain,
    to_terminal,
    write_atomically,
)


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command found, in every form it can be asked for."""

    document: Mapping[str, Any]
    tables: Sequence[Table]
    records: Sequence[Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class Output:
    """The ``--format`` and ``--output`` of a command; checked before the work starts."""

    format: Format
    path: Path | None

    def __post_init__(self) -> None:
        if self.path is not None:
            check_writable(self.path)

    def keep(self, result: Result) -> None:
        """Write an unfinished ``result`` to ``--output`` if there is one, so that no end loses it."""
        if self.path is not None:
            write_atomically(self.path, self._text(result))

    def emit(self, result: Result) -> None:
        if self.path is None and self.format is Format.TABLE:
            # In a pipe there is no width to fit into; cutting columns would lose figures.
            to_terminal(result.tables, Console(width=None if sys.stdout.isatty() else 200))
            return
        text = self._text(result)
        if self.path is None:
            sys.stdout.write(text)
        else:
            write_atomically(self.path, text)
            say(f"wrote {self.path}")

    def _text(self, result: Result) -> str:
        match self.format:
            case Format.TABLE:
                return to_plain(result.tables)
            case Format.JSON:
                return json.dumps(result.document, indent=1, allow_nan=False) + "\n"
            case Format.CSV:
                return to_csv(result.records)
            case Format.MARKDOWN:
                return to_markdown(result.tables)


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
