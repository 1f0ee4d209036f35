"""What all results can do: become a data frame, and show themselves in a notebook."""

from importlib import import_module
from typing import TYPE_CHECKING

from msgspec import Struct

from sfic_bench.results.lines import to_frame

if TYPE_CHECKING:
    import pandas as pd

# By its name, since results know nothing of the rooms above them, which make tables of them.
RENDERER = "sfic_bench.commands.tables"
"""The module whose ``to_html`` and ``to_text`` make HTML and text of a result."""


class Shown(Struct, frozen=True, kw_only=True):
    """A result of a command. In a notebook, and printed, it shows itself as the tables that the command prints."""

    def to_frame(self) -> "pd.DataFrame":
        """The rows as a data frame, see `sfic_bench.to_frame`."""
        return to_frame(self)

    def __repr__(self) -> str:
        rows = getattr(self, "rows", None)
        return f"<{type(self).__name__}>" if rows is None else f"<{type(self).__name__} of {len(rows)} rows>"

    def __str__(self) -> str:
        text: str = import_module(RENDERER).to_text(self)
        return text

    def _repr_html_(self) -> str:
        html: str = import_module(RENDERER).to_html(self)
        return html
