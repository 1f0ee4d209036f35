"""A table of the paper with measured accuracies beside the printed ones, as ``table`` writes it."""

from typing import Literal

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Key, Name, Ratio, Value, label
from sfic_bench.results.shown import Shown
from sfic_bench.statistics.interval import Interval

CellVerdict = Literal["reproduced", "higher", "lower", "undecided", "other data", "missing", "quoted"]
"""``reproduced``: the printed figure lies in the measured interval. ``higher``, ``lower``: the measured interval lies
above or below it. ``undecided``: what was measured has no interval. ``other data``: the images were not drawn as the
paper draws them, so that nothing can be compared. ``missing``: nothing was measured. ``quoted``: the paper quotes the
network from elsewhere and did not run it."""


class TableCell(Struct, frozen=True, kw_only=True):
    """One accuracy of a table.

    Attributes:
        model: the paper's name of the network.
        train_on, test_on: the paper's names of the data.
        measured: in percent, the mean over ``seeds`` with its interval; ``None`` if it is missing.
        measured_on: the names of the data that were used, if they were not the paper's draw.
    """

    model: Name
    alpha: Ratio
    beta: Ratio
    train_on: Name
    test_on: Name
    metric: Literal["AUC", "BACC"]
    printed: float
    measured: Interval | None
    seeds: int
    verdict: CellVerdict
    measured_on: str = ""

    @property
    def key(self) -> Key:
        return self.model, self.alpha, self.beta, f"{self.train_on} → {self.test_on} {self.metric}"

    @property
    def network(self) -> str:
        """The network in one line, such as ``SFIC-ResNet26 α=0.25 β=1``."""
        return label((self.model, self.alpha, self.beta, ""))


class PaperTableResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/table/1"):
    """One of the paper's accuracy tables.

    Attributes:
        table: its number, such as ``"IV"``.
        recipe: how the networks were trained, by field of `sfic_bench.training.recipe.Recipe`; empty if nothing was.
        notes: what a reader must know.
        rows: the cells in the paper's order.
    """

    environment: Environment
    table: Name
    recipe: dict[str, Value]
    seeds: list[int]
    notes: list[str]
    rows: list[TableCell]
