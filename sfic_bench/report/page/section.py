"""The unit of a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from sfic_bench.report.table import Table

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report.

    Attributes:
        name: a short name without spaces, for links and file names.
        lead: what to take from it, in a sentence or two.
        charts: makers of charts by caption; not called where there is nothing to draw them with.
        first: it says what a reader must know, so that it is never folded.
    """

    name: str
    title: str
    lead: str
    tables: Sequence[Table] = ()
    charts: Mapping[str, Callable[[], "Spec"]] = field(default_factory=dict)
    first: bool = False


def known(value: Any) -> Any:
    """A value of a data frame; ``None`` where it has none."""
    return None if value is None or pd.isna(value) else value
