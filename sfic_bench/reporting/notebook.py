"""Tables as HTML for a notebook, whose own style decides how they look."""

import html
from collections.abc import Sequence

from sfic_bench.reporting.table import Table, fitted, left_out_names

WIDTH = 80
"""The number of characters that a row may have; columns that matter less are left out, as on a terminal."""


def to_html(tables: Sequence[Table]) -> str:
    """``tables`` one below the other; a folded one opens on a click."""
    return "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    columns = fitted(table, WIDTH)[0] if table.rows else []
    head = "".join(_cell("th", table.columns[i].name, number=table.columns[i].number) for i in columns)
    rows = []
    for number, row in enumerate(table.rows):
        cells = "".join(_cell("td", row[i], number=table.columns[i].number) for i in columns)
        line = ' style="border-bottom: 1px solid"' if number in table.sections else ""
        rows.append(f"<tr{line}>{cells}</tr>")
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if rows else ""
    notes = list(table.notes)
    if rows and (left_out := left_out_names(table, columns)):
        notes.append(f"left out at this width: {', '.join(left_out)}; to_frame() has them")
    small = "".join(f"<p><small>{html.escape(note)}</small></p>" for note in notes)
    title = html.escape(table.title)
    if table.folded:
        return f"<details><summary>{title}</summary>{body}{small}</details>"
    return f"<p><strong>{title}</strong></p>{body}{small}"


def _cell(tag: str, text: str, *, number: bool) -> str:
    side = "right" if number else "left"
    lines = html.escape(text).replace("\n", "<br>")
    return f'<{tag} style="text-align: {side}; white-space: nowrap; padding: 2px 8px; min-width: 0">{lines}</{tag}>'
