"""Rows of results as lines of a table, one cell for each figure."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from sfic_bench.errors import InvalidValue
from sfic_bench.statistics.interval import Interval

if TYPE_CHECKING:
    import pandas as pd


class HasResult(Protocol):
    """What has a result, such as a `sfic_bench.results.read.ResultFile`."""

    @property
    def result(self) -> Struct:
        """The result."""


def line_of(row: Struct) -> dict[str, object]:
    """``row`` as one line: an interval is three cells, a mapping or another struct one for each part.

    Lists are only in JSON.
    """
    return _cells((name, getattr(row, name)) for name in row.__struct_fields__)


def _cells(values: Iterable[tuple[str, object]]) -> dict[str, object]:
    line: dict[str, object] = {}
    for name, value in values:
        if isinstance(value, Interval):
            line |= {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}
        elif isinstance(value, Struct):
            line |= {f"{name}_{key}": part for key, part in line_of(value).items()}
        elif isinstance(value, dict):
            parts = ((str(key), part) for key, part in value.items() if not isinstance(part, dict))
            line |= {f"{name}_{key}": part for key, part in _cells(parts).items()}
        elif not isinstance(value, list):
            line[name] = value
    return line


def rows_in(result: Struct) -> Sequence[Struct] | None:
    """The rows of ``result`` in CSV and in frames: its ``lines`` or its ``rows``; ``None`` if it has neither."""
    rows: Sequence[Struct] | None = getattr(result, "lines", None) or getattr(result, "rows", None)
    return rows


def to_frame(result: HasResult | Struct) -> "pd.DataFrame":
    """The rows of a result as a data frame, with the columns that ``--format csv`` has.

    Args:
        result: what `sfic_bench.read` gives, or a result of any kind, such as a `sfic_bench.results.cost.CostResult`.

    Raises:
        InvalidValue: for a struct without rows.
    """
    import pandas as pd

    content = result if isinstance(result, Struct) else result.result
    rows = rows_in(content)
    if rows is None:
        raise InvalidValue(f"{type(content).__name__} has no rows: expected a result")
    return pd.DataFrame([line_of(row) for row in rows])
