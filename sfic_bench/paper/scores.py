"""Accuracies by the cells of the paper's tables: the printed ones, or measured ones in their places."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from sfic_bench.paper.tables import PrintedAccuracy, accuracy_cells
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
        _cell(p): Interval(estimate=p.percent, low=p.percent, high=p.percent)
        for p in accuracy_cells()
    }  # fmt: skip


def measured(rows: Iterable[AccuracyRow], as_printed: Callable[[str], str] = str) -> Scores:
    """The scores of ``rows`` in the cells of their networks and data; cells of other networks or data are missing.

    ``as_printed`` gives the paper's name for the data of a row.
    """
    found = {
        (row.backbone, row.alpha, row.beta, as_printed(row.train_on), as_printed(row.test_on)): row for row in rows
    }
    scores: dict[Cell, Interval] = {}
    for cell in accuracy_cells():
        if (v := cell.variant) is None:
            continue
        row = found.get((v.backbone, v.alpha, v.beta, cell.train_set, cell.test_set))
        score = None if row is None else row.frame_auc if cell.metric == "AUC" else row.frame_bacc
        if score is not None:
            low, high = (None if x is None else 100 * x for x in (score.low, score.high))
            scores[_cell(cell)] = Interval(estimate=100 * score.estimate, low=low, high=high)
    return scores


def _cell(p: PrintedAccuracy) -> Cell:
    return Cell(p.table, p.model, p.alpha, p.beta, p.train_set, p.test_set, p.metric)


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
