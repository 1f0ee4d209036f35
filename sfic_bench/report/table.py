"""Tables of text, and their renderings: for a terminal, as Markdown and as CSV."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from sfic_bench.units import printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column's heading. Numbers are aligned to the right; an optional column is left out on a narrow terminal."""

    name: str
    number: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Formatted cells under headings.

    Attributes:
        notes: explanations below the table.
        sections: indices of the rows that end a group.
        folded: in Markdown the table opens on a click; on a terminal only the title of a long one is printed.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    sections: frozenset[int] = frozenset()
    folded: bool = False

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.title
        # Cells come from files and from users. What is printable here is so in every rendering.
        object.__setattr__(self, "title", printable(self.title))
        object.__setattr__(self, "rows", [[printable(cell) for cell in row] for row in self.rows])
        object.__setattr__(self, "notes", [printable(note) for note in self.notes])


STYLES = {
    "match": "green",
    "explained": "yellow",
    "differs": "bold red",
    "differs, known": "yellow",
    "ok": "green",
}
"""The style of a cell that has exactly this text."""

NARROWEST = 10
"""The width below which a column of text is not wrapped."""

FOLDED_ABOVE = 40
"""The most rows of a folded table that a terminal shows."""


def renderable(table: Table, columns: Sequence[int], *, wrapped: bool = False) -> RichTable:
    """``columns`` of ``table`` for rich, as wide as they need; text is ``wrapped`` if asked for, figures never are."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for i in columns:
        column = table.columns[i]
        # rich would measure every cell several times over, which takes most of a long table's time.
        width = None if wrapped else _longest(table, i)
        justify: Literal["left", "right"] = "right" if column.number else "left"
        # Text that is too long continues on the next line, since half of a path would be useless.
        rich.add_column(column.name, justify=justify, no_wrap=column.number, width=width, overflow="fold")
    for i, row in enumerate(table.rows):
        # rich reads markup in a str, but not in a Text; cells come from files.
        cells = (Text(row[c], STYLES.get(row[c], "")) for c in columns)
        rich.add_row(*cells, end_section=i in table.sections)
    return rich


def _longest(table: Table, column: int) -> int:
    """The width of the longest line in ``column``."""
    texts = (table.columns[column].name, *(row[column] for row in table.rows))
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def to_terminal(tables: Sequence[Table], console: Console) -> None:
    """Print ``tables`` on ``console``, without optional columns where it is too narrow for all."""
    for table in tables:
        title, notes = table.title, list(table.notes)
        rich, narrowest = None, 0
        if table.folded and len(table.rows) > FOLDED_ABOVE:
            title += f": {len(table.rows):,}, listed in Markdown, CSV and JSON"
        elif table.rows:
            columns = list(range(len(table.columns)))
            rich = renderable(table, columns)
            if _width(rich, console) > console.width:
                if left_out := [c.name.replace("\n", " ") for c in table.columns if c.optional]:
                    notes.append(f"a wider terminal, CSV and JSON also show: {', '.join(left_out)}")
                columns = [i for i in columns if not table.columns[i].optional]
                rich = renderable(table, columns, wrapped=True)
                texts = (i for i in columns if not table.columns[i].number)
                narrowest = _width(rich, console) - sum(max(0, _longest(table, i) - NARROWEST) for i in texts)
        console.print(Text(title, "bold"))
        if rich is not None:
            # A figure cut short is worse than a line that the terminal wraps, but rich cuts to its console's width.
            width, console.width = console.width, max(console.width, narrowest)
            console.print(rich)
            console.width = width
        for note in notes:
            console.print(Text(note, "dim"))
        console.print()


def _width(rich: RichTable, console: Console) -> int:
    return Measurement.get(console, console.options.update(max_width=10_000), rich).maximum


def to_plain(tables: Sequence[Table]) -> str:
    """``tables`` as `to_terminal` prints them at a width of 200 characters, without colours."""
    console = Console(file=io.StringIO(), width=200, color_system=None)
    to_terminal(tables, console)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def to_markdown(tables: Sequence[Table]) -> str:
    """``tables`` in GitHub's Markdown, each with a heading; text that could be markup is escaped."""
    parts = []
    for table in tables:
        lines = []
        if table.rows:
            lines.append(_markdown_row([column.name for column in table.columns]))
            lines.append("| " + " | ".join("---:" if c.number else "---" for c in table.columns) + " |")
            lines += map(_markdown_row, table.rows)
        for note in table.notes:
            lines += ["", escape(note)]
        if table.folded:
            lines = ["<details>", f"<summary>{html.escape(table.title)}</summary>", "", *lines, "", "</details>"]
        else:
            lines = [f"### {escape(table.title)}", "", *lines]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"


def escape(text: str) -> str:
    """``text`` in one line of Markdown that GitHub shows literally."""
    for character in ("\\", "|", "<", ">", "*", "_", "`", "["):
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")


def to_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """One line for each row, with a column for each name that any row has; ``None`` is an empty field."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _no_formula(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _no_formula(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
