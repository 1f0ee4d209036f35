"""The paper's accuracy tables in their own form, filled with measured accuracies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sfic_bench.networks.variant import Variant
from sfic_bench.paper.tables import PrintedAccuracy, accuracy_cells
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.results.tables import CellVerdict, TableCell
from sfic_bench.statistics.interval import Interval

Place = tuple[str, str]
"""The data that a network is trained on and those that it is tested on, by the paper's names."""

TRAINED_ON = {("IX", "FF++"): "FF++ HQ"}
"""What Table IX calls FF++ are the HQ videos, as in Tables VII and VIII, from which it repeats two networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """One of the paper's tables.

    Attributes:
        networks: the networks to train, in the paper's order, the irregular sets of α and β included.
        places: the data of its columns.
    """

    number: str
    cells: Sequence[PrintedAccuracy]

    @classmethod
    def of(cls, number: str) -> "PaperTable":
        """The table of this number, which is one of `sfic_bench.choices.TableNumber`."""
        return cls(number=number, cells=[cell for cell in accuracy_cells() if cell.table == number])

    @property
    def networks(self) -> list[Variant]:
        return list(dict.fromkeys(variant for cell in self.cells if (variant := cell.variant) is not None))

    @property
    def places(self) -> list[Place]:
        return list(dict.fromkeys(self.place_of(cell) for cell in self.cells))

    def place_of(self, cell: PrintedAccuracy) -> Place:
        """The data of a cell; see `TRAINED_ON`."""
        return TRAINED_ON.get((self.number, cell.train_set), cell.train_set), cell.test_set


@dataclass(frozen=True, kw_only=True, slots=True)
class DataName:
    """The paper's name for data, and whether the images were drawn as the paper draws them."""

    name: str
    is_papers: bool


def filled(table: PaperTable, rows: Iterable[AccuracyRow], names: Mapping[str, DataName]) -> list[TableCell]:
    """The cells of ``table`` with what ``rows`` measured; where several rows fit, one on the paper's draw comes first.

    ``names`` tell for each name of data in ``rows`` what the paper calls them.
    """
    measured: dict[tuple[Variant, Place], tuple[AccuracyRow, bool]] = {}
    for row in rows:
        train, test = names[row.train_on], names[row.test_on]
        key = Variant(backbone=row.backbone, alpha=row.alpha, beta=row.beta), (train.name, test.name)
        is_papers = train.is_papers and test.is_papers
        if key not in measured or (is_papers and not measured[key][1]):
            measured[key] = row, is_papers
    return [_filled(table, cell, measured) for cell in table.cells]


def _filled(
    table: PaperTable, cell: PrintedAccuracy, measured: Mapping[tuple[Variant, Place], tuple[AccuracyRow, bool]]
) -> TableCell:
    found = None if cell.variant is None else measured.get((cell.variant, table.place_of(cell)))
    score: Interval | None = None
    seeds, used = 0, ""
    verdict: CellVerdict = "quoted" if cell.variant is None else "missing"
    if found is not None:
        row, is_papers = found
        share = row.frame_auc if cell.metric == "AUC" else row.frame_bacc
        if share is not None:
            low, high = (None if bound is None else 100 * bound for bound in (share.low, share.high))
            score, seeds = Interval(estimate=100 * share.estimate, low=low, high=high), row.seeds
            verdict = _verdict(score, cell.percent) if is_papers else "other data"
            used = "" if is_papers else f"{row.train_on} → {row.test_on}"
    return TableCell(
        model=cell.model, alpha=cell.alpha, beta=cell.beta, train_on=cell.train_set, test_on=cell.test_set,
        metric=cell.metric, printed=cell.percent, measured=score, seeds=seeds, verdict=verdict, measured_on=used,
    )  # fmt: skip


def _verdict(measured: Interval, printed: float) -> CellVerdict:
    """How a measured score stands to a printed one, which is rounded to two decimals."""
    if measured.low is None or measured.high is None:
        return "undecided"
    if measured.low > printed + 0.005:
        return "higher"
    return "lower" if measured.high < printed - 0.005 else "reproduced"
