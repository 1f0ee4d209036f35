"""Where a command's result goes: data to stdout or a file, everything else to stderr."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread

from msgspec import Struct, json
from rich.console import Console

from sfic_bench.commands.watcher import UNWATCHED, Advance
from sfic_bench.files import check_writable, is_replaceable, write_atomically
from sfic_bench.reporting import Table, to_csv, to_markdown, to_plain, to_terminal
from sfic_bench.results.lines import line_of
from sfic_bench.results.write import to_json
from sfic_bench.units import format_duration, printable

LOG = logging.getLogger(__name__)

STDOUT = Path("-")
"""The name that stands for the standard output."""

INTERVALS_LEFT_OUT = "a terminal that is too narrow for the intervals leaves them out: --format wide shows them"
"""The note under a table that has intervals."""


class Format(StrEnum):
    """How a result is written; on a terminal ``wide`` shows the columns that a table leaves out to fit."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"


@dataclass(frozen=True, kw_only=True)
class View:
    """A command's result, and what is shown of it.

    Attributes:
        result: written as JSON.
        tables: written as text and as Markdown.
        rows: written as CSV and as JSON lines, one line each.
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
        if self.path == STDOUT:
            object.__setattr__(self, "path", None)
        if self.path is not None:
            check_writable(self.path)

    def keep(self, view: View) -> None:
        """Write an unfinished ``view`` to ``--output`` if it is given, so that an early end loses nothing."""
        if self.path is not None and is_replaceable(self.path):
            write_atomically(self.path, self._text(view))

    @property
    def streams(self) -> bool:
        """Whether rows can be written one by one, with `stream`: JSON lines to stdout."""
        return self.format is Format.JSONL and self.path is None

    def stream(self, row: Struct) -> None:
        """Write a row as soon as it is there, if this output `streams`; what is streamed is not given to `emit`."""
        if self.streams:
            sys.stdout.write(json_line(row))
            sys.stdout.flush()

    def emit(self, view: View) -> None:
        if self.path is None and self.format is Format.TABLE:
            show(view.tables)
        else:
            write_text(self.path, self._text(view))

    def _text(self, view: View) -> str:
        match self.format:
            case Format.TABLE | Format.WIDE:  # in a file or a pipe there is no width to fit into
                return to_plain(view.tables)
            case Format.JSON:
                return to_json(view.result)
            case Format.JSONL:
                return "".join(map(json_line, view.rows))
            case Format.CSV:
                return to_csv([line_of(row) for row in view.rows])
            case Format.MARKDOWN:
                return to_markdown(view.tables)


def show(tables: Sequence[Table]) -> None:
    """Print ``tables``, as wide as the terminal or, where there is none, as they are."""
    if sys.stdout.isatty():
        to_terminal(tables, Console())
    else:
        sys.stdout.write(to_plain(tables))


def write_text(path: Path | None, text: str) -> None:
    """Write ``text`` to a file, atomically, or to stdout if there is no ``path``."""
    if path is None:
        sys.stdout.write(text)
    else:
        write_atomically(path, text)
        LOG.info("wrote %s", path)


def json_line(row: Struct) -> str:
    """``row`` as one line of JSON."""
    return json.encode(row).decode() + "\n"


def say(message: str) -> None:
    """Write a message to stderr."""
    lines = "\n".join(map(printable, message.split("\n")))
    Console(stderr=True, highlight=False).print(lines, markup=False, soft_wrap=True)


class _Said(logging.Handler):
    """Writes what `logging` is told to stderr: warnings after the name of the command, as errors are."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        say(message if record.levelno < logging.WARNING else f"sfic-bench: {message}")


def listen(level: int) -> None:
    """Write to stderr what this package tells `logging`, from ``level`` on."""
    logger = logging.getLogger("sfic_bench")
    if not any(isinstance(handler, _Said) for handler in logger.handlers):
        logger.addHandler(_Said())
    logger.setLevel(level)


SAID_EVERY_S = 30.0
"""How often work without a terminal says where it stands."""


@contextmanager
def progress(description: str, total: int) -> Iterator[Advance]:
    """Show where work stands on stderr: a bar on a terminal, and otherwise a line every `SAID_EVERY_S` seconds.

    The function that it gives moves on, with a new description and by one if no other number is given.
    """
    console = Console(stderr=True)
    if not LOG.isEnabledFor(logging.INFO):
        with UNWATCHED.progress(description, total) as advance:
            yield advance
        return
    if not console.is_terminal:
        with _said_at_intervals(description, total) as advance:
            yield advance
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)

        def advance(now: str, by: int = 1) -> None:
            bar.update(task, advance=by, description=now)

        yield advance


@contextmanager
def _said_at_intervals(description: str, total: int) -> Iterator[Advance]:
    started, over, done, last = time.monotonic(), Event(), 0, ""
    stderr = sys.stderr  # as it is now: a later step may redirect it

    def repeat() -> None:
        while not over.wait(SAID_EVERY_S):
            seconds = time.monotonic() - started
            left = f"{format_duration(seconds / done * (total - done))} left" if done else "time left unknown"
            after = f", last {printable(last)}" if last not in ("", description) else ""
            print(f"{description}: {done:,} of {total:,}{after}, {left}", file=stderr, flush=True)

    def advance(now: str, by: int = 1) -> None:
        nonlocal done, last
        done, last = done + by, now
        LOG.debug("%s: %s, %s of %s", description, now, f"{done:,}", f"{total:,}")

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        over.set()
        thread.join()
