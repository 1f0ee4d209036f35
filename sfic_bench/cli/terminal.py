"""What a terminal shows of a command's work: progress, and what `logging` is told, both on stderr."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from msgspec import Struct

from sfic_bench.cli.output import Output, View, progress
from sfic_bench.commands.watcher import Advance, Watcher
from sfic_bench.results.lines import rows_in

if TYPE_CHECKING:
    from sfic_bench.reporting import Table
    from sfic_bench.training.loop import ProgressListener


class Terminal(Watcher):
    """Shows bars on stderr, or lines where there is no terminal; keeps what is finished in ``--output``.

    Attributes:
        latest: all that was finished when the command last told it.
    """

    def __init__(self, out: Output, view: Callable[[Struct], View]) -> None:
        self.latest: Struct | None = None
        self._out, self._view = out, view

    def progress(self, description: str, total: int) -> AbstractContextManager[Advance]:
        return progress(description, total)

    def training(self, title: str) -> "AbstractContextManager[ProgressListener | None]":
        from sfic_bench.cli.training_progress import training_progress

        return training_progress(title)

    def trained(self, title: str, number: int, count: int) -> None:
        from sfic_bench.cli.training_progress import report_finished

        report_finished(title, number, count)

    def keep(self, result: Struct) -> None:
        self.latest = result
        self._out.keep(self._view(result))


def view_of(result: Struct, *, tables: "Sequence[Table] | None" = None, rows: Sequence[Struct] | None = None) -> View:
    """``result`` with its own tables and rows where no others are given."""
    from sfic_bench.commands.tables import tables_of

    return View(
        result=result, tables=tables_of(result) if tables is None else tables,
        rows=rows_in(result) or () if rows is None else rows,
    )  # fmt: skip
