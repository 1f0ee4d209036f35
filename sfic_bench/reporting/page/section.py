"""The unit of a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfic_bench.reporting.table import Table

Spec = dict[str, Any]
"""A Vega-Lite specification, which Altair gives as untyped JSON."""

Charts = Mapping[str, Callable[[], Spec]]
"""Makers of charts, by caption; they are called only where charts are drawn, since they need Altair."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report.

    Attributes:
        name: a short name without spaces, for links and file names.
        lead: what a reader learns from the section, in a sentence or two.
        first: whether the section has what every reader must know, so that it is never folded.
    """

    name: str
    title: str
    lead: str
    tables: Sequence[Table] = ()
    charts: Charts = field(default_factory=dict)
    first: bool = False
