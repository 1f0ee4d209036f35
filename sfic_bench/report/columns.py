"""Tables whose columns say how to read a row: one declaration of heading, cell and alignment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sfic_bench.report.table import Column, Table

Row = TypeVar("Row")


@dataclass(frozen=True)
class Cells(Generic[Row]):
    """One column: its heading, and the text of its cell for a row.

    Attributes:
        number: figures stand to the right.
        optional: the column gives way on a narrow terminal.
        always: the column is there even if no row has text in it.
    """

    heading: str
    cell: Callable[[Row], str]
    number: bool = True
    optional: bool = False
    always: bool = False


def tabulated(
    title: str,
    columns: Sequence[Cells[Row]],
    rows: Sequence[Row],
    *,
    notes: Sequence[str] = (),
    sections: frozenset[int] = frozenset(),
    folded: bool = False,
) -> Table:
    """A table of ``rows`` without the columns in which no row has text."""
    texts = [[column.cell(row) for column in columns] for row in rows]
    kept = [i for i, column in enumerate(columns) if column.always or any(text[i] for text in texts)]
    return Table(
        title=title,
        columns=[Column(name=columns[i].heading, number=columns[i].number, optional=columns[i].optional) for i in kept],
        rows=[[text[i] for i in kept] for text in texts],
        notes=notes,
        sections=sections,
        folded=folded,
    )
