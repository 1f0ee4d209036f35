"""Tables of text, and their renderings: for a terminal, as Markdown and as CSV."""

import csv
import html
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from rich.table import Table as RichTable
from rich.text import Text

from sfic_bench.units import printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column's heading. Numbers are aligned to the right; ``rank`` says what is left out first, see `Cells`."""

    name: str
    number: bool = False
    rank: int = 0


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

LONGEST_WORD = 40
"""The longest word, such as a file's path, that is not continued on the next line."""

FOLDED_ABOVE = 40
"""The most rows of a folded table that a terminal shows."""


def renderable(table: Table, columns: Sequence[int], widths: Sequence[int] | None = None) -> RichTable:
    """``columns`` of ``table`` for rich, as wide as they need or with ``widths``; text that is longer is wrapped."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for i, width in zip(columns, widths or [_longest(table, i) for i in columns], strict=True):
        column = table.columns[i]
        justify: Literal["left", "right"] = "right" if column.number else "left"
        # rich would measure every cell several times over, which takes most of a long table's time.
        rich.add_column(column.name, justify=justify, no_wrap=column.number, width=width, overflow="fold")
    for i, row in enumerate(table.rows):
        # rich reads markup in a str, but not in a Text; cells come from files.
        cells = (Text(row[c], STYLES.get(row[c], "")) for c in columns)
        rich.add_row(*cells, end_section=i in table.sections)
    return rich


def _texts(table: Table, column: int) -> list[str]:
    return [table.columns[column].name, *(row[column] for row in table.rows)]


def _longest(table: Table, column: int) -> int:
    """The width of the longest line in ``column``."""
    return max(cell_len(line) for text in _texts(table, column) for line in text.split("\n"))


def _narrowest(table: Table, column: int) -> int:
    """The least width of ``column`` in which no figure and no word is broken, unless a word is very long."""
    if table.columns[column].number:
        return _longest(table, column)
    words = (cell_len(word) for text in _texts(table, column) for word in text.split())
    return min(max(words, default=0), LONGEST_WORD)


def fitted(table: Table, width: int) -> tuple[list[int], list[int]]:
    """The columns that are shown in ``width`` characters, and their widths.

    Text is wrapped between words first. If that is not enough, columns are left out, those of the highest rank first.
    What is left may still be wider; the terminal then wraps its lines, since a figure cut short would be worse.
    """
    columns = list(range(len(table.columns)))
    for rank in sorted({column.rank for column in table.columns if column.rank}, reverse=True):
        if _total(_narrowest(table, i) for i in columns) <= width:
            break
        columns = [i for i in columns if table.columns[i].rank != rank]
    widths, least = [_longest(table, i) for i in columns], [_narrowest(table, i) for i in columns]
    while (excess := _total(widths) - width) > 0:
        room = [full - narrow for full, narrow in zip(widths, least, strict=True)]
        if not any(room):
            break
        widest = max(range(len(widths)), key=lambda place: (room[place] > 0) * widths[place])
        widths[widest] -= min(room[widest], max(1, excess // 2))
    return columns, widths


def _total(widths: Iterable[int]) -> int:
    return sum(width + 2 for width in widths)


def to_terminal(tables: Sequence[Table], console: Console) -> None:
    """Print ``tables`` on ``console``, without the columns for which it is too narrow."""
    for table in tables:
        notes, elsewhere = list(table.notes), _listed_elsewhere(table)
        rich = None
        if table.rows and not elsewhere:
            columns, widths = fitted(table, console.width)
            rich = renderable(table, columns, widths)
            if left_out := left_out_names(table, columns):
                notes.append(f"left out at this width: {', '.join(left_out)}; --format wide shows them")
        console.print(Text(table.title + elsewhere, "bold"))
        if rich is not None:
            # rich cuts to its console's width what the terminal would wrap. It takes a width for a dumb terminal
            # only together with a height.
            size = console.size
            console.size = ConsoleDimensions(max(size.width, _total(widths)), size.height)
            console.print(rich)
            console.size = size
        for note in notes:
            console.print(Text(note, "dim"))
        console.print()


def _listed_elsewhere(table: Table) -> str:
    """What follows the title of a folded table whose rows are too many to be shown; nothing for other tables."""
    is_long = table.folded and len(table.rows) > FOLDED_ABOVE
    return f": {len(table.rows):,}, listed in Markdown, CSV and JSON" if is_long else ""


def left_out_names(table: Table, shown: Sequence[int]) -> list[str]:
    """The headings of the columns that are not shown, once each, and without those of intervals."""
    headings = (c.name.replace("\n", " ") for i, c in enumerate(table.columns) if i not in shown)
    return list(dict.fromkeys(name for name in headings if not name.endswith("% interval")))


def to_plain(tables: Sequence[Table]) -> str:
    """``tables`` as `to_terminal` prints them on a terminal of any width, without colours.

    rich makes ten objects for each cell, so that a long table takes a fifth of a second; plain text needs none of them.
    """
    lines = []
    for table in tables:
        elsewhere = _listed_elsewhere(table)
        lines.append(table.title + elsewhere)
        if table.rows and not elsewhere:
            lines += _plain_rows(table)
        lines += [*table.notes, ""]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _plain_rows(table: Table) -> Iterator[str]:
    widths = [_longest(table, i) for i in range(len(table.columns))]

    def line(cells: Iterable[str]) -> str:
        padded = []
        for column, width, cell in zip(table.columns, widths, cells, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if column.number else cell + space)
        return " " + "  ".join(padded)

    yield ""
    headings = zip_longest(*(reversed(column.name.split("\n")) for column in table.columns), fillvalue="")
    yield from map(line, reversed(list(headings)))
    yield " " + "─" * (_total(widths) - 2)
    for i, row in enumerate(table.rows):
        yield line(row)
        if i in table.sections and i + 1 < len(table.rows):
            yield ""
    yield ""


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
