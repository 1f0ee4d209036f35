"""Tables whose columns say how to read a row: heading, cell and alignment are declared in one place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from sfic_bench.reporting.cells import bounds, estimate
from sfic_bench.reporting.table import Column, Table
from sfic_bench.statistics.interval import Interval

Row = TypeVar("Row")

INTERVAL = "95%\ninterval"
"""The heading above the bounds of an interval, in two lines, so that its column is no wider than they are."""


@dataclass(frozen=True)
class Cells(Generic[Row]):
    """One column: its heading, and the text of its cell for a row.

    Attributes:
        number: the column holds figures, which are aligned to the right.
        rank: 0 for a column that is always shown; on a narrow terminal those of the highest rank are left out first.
        always: the column is shown even if no row has text in it.
    """

    heading: str
    cell: Callable[[Row], str]
    number: bool = True
    rank: int = 0
    always: bool = False


def interval_columns(
    heading: str,
    interval: Callable[[Row], Interval | None],
    digits: str = ".2f",
    *,
    scale: float = 1,
    between: str = "–",
    rank: int = 0,
) -> list[Cells[Row]]:
    """Two columns: an estimate under ``heading``, and the bounds of its interval."""
    return [
        Cells(heading, lambda row: estimate(interval(row), digits, scale=scale), rank=rank),
        Cells(INTERVAL, lambda row: bounds(interval(row), digits, scale=scale, between=between), rank=rank),
    ]


def tabulated(
    title: str,
    columns: Sequence[Cells[Row]],
    rows: Sequence[Row],
    *,
    notes: Sequence[str] = (),
    group_by: Callable[[Row], object] | None = None,
    folded: bool = False,
) -> Table:
    """A table of ``rows`` without the columns in which no row has text.

    Successive rows for which ``group_by`` gives the same value are set apart from the others.
    """
    groups = [] if group_by is None else [group_by(row) for row in rows]
    texts = [[column.cell(row) for column in columns] for row in rows]
    shown = [i for i, column in enumerate(columns) if column.always or any(text[i] for text in texts)]
    return Table(
        title=title,
        columns=[Column(name=columns[i].heading, number=columns[i].number, rank=columns[i].rank) for i in shown],
        rows=[[text[i] for i in shown] for text in texts],
        notes=notes,
        sections=frozenset(i for i, (group, following) in enumerate(pairwise(groups)) if group != following),
        folded=folded,
    )
