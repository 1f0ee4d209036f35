"""Accuracies by the cells of the paper's tables: the printed ones, or measured ones in their places."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sfic_bench.choices import TableNumber
from sfic_bench.paper.tables import accuracy_cells
from sfic_bench.paper.wide import DataName, PaperTable, filled
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.statistics.interval import Interval


class Cell(NamedTuple):
    """The place of one accuracy in the paper's tables."""

    table: str
    model: str
    alpha: float | None
    beta: float | None
    train: str
    test: str
    metric: str

    @property
    def is_sfic(self) -> bool:
        return self.model.startswith("SFIC-")

    @property
    def column(self) -> tuple[str, str, str, str]:
        """What the cells of one column have in common: table, data sets and metric."""
        return self.table, self.train, self.test, self.metric

    @property
    def network(self) -> tuple[str, float | None, float | None]:
        return self.model, self.alpha, self.beta


Scores = Mapping[Cell, Interval]
"""Scores in percent; a printed one is an interval without width."""


def printed() -> Scores:
    """Every printed accuracy, in the paper's order."""
    return {
        Cell(p.table, p.model, p.alpha, p.beta, p.train_set, p.test_set, p.metric):
        Interval(estimate=p.percent, low=p.percent, high=p.percent)
        for p in accuracy_cells()
    }  # fmt: skip


def measured(rows: Sequence[AccuracyRow], names: Mapping[str, DataName]) -> Scores:
    """The scores of ``rows`` in the cells of all tables, see `filled`; cells of other networks or data are missing."""
    return {
        Cell(number, c.model, c.alpha, c.beta, c.train_on, c.test_on, c.metric): c.measured
        for number in TableNumber
        for c in filled(PaperTable.of(number), rows, names)
        if c.measured is not None
    }


def select(scores: Scores, *tables: str, where: Callable[[Cell], bool] = lambda _: True) -> dict[Cell, Interval]:
    """The scores of ``tables`` whose cell satisfies ``where``."""
    return {cell: score for cell, score in scores.items() if cell.table in tables and where(cell)}


def columns(scores: Scores) -> Iterator[dict[Cell, Interval]]:
    """The scores of each column of a table."""
    by_column: dict[tuple[str, str, str, str], dict[Cell, Interval]] = {}
    for cell, score in scores.items():
        by_column.setdefault(cell.column, {})[cell] = score
    yield from by_column.values()


def best(scores: Scores) -> Interval | None:
    """The highest score; ``None`` of none."""
    return max(scores.values(), key=lambda score: score.estimate, default=None)


def better(a: Interval | None, b: Interval | None) -> bool | None:
    """Whether ``a`` is above ``b`` with its whole interval; ``None`` if their intervals overlap or one is missing."""
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return True if a.low > b.high else False if a.high <= b.low else None
