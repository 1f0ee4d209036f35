"""Tables as HTML for a notebook, whose own style decides how they look."""

import html
from collections.abc import Sequence

from sfic_bench.reporting.table import Table


def to_html(tables: Sequence[Table]) -> str:
    """``tables`` one below the other; a folded one opens on a click."""
    return "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    head = "".join(_cell("th", column.name, number=column.number) for column in table.columns)
    rows = []
    for i, row in enumerate(table.rows):
        cells = zip(row, table.columns, strict=True)
        line = ' style="border-bottom: 1px solid"' if i in table.sections else ""
        rows.append(
            f"<tr{line}>" + "".join(_cell("td", cell, number=column.number) for cell, column in cells) + "</tr>"
        )
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if rows else ""
    notes = "".join(f"<p><small>{html.escape(note)}</small></p>" for note in table.notes)
    title = html.escape(table.title)
    if table.folded:
        return f"<details><summary>{title}</summary>{body}{notes}</details>"
    return f"<p><strong>{title}</strong></p>{body}{notes}"


def _cell(tag: str, text: str, *, number: bool) -> str:
    side = "right" if number else "left"
    lines = html.escape(text).replace("\n", "<br>")
    return f'<{tag} style="text-align: {side}; white-space: nowrap">{lines}</{tag}>'
