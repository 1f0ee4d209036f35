"""A table of the paper in its own wide form, with measured and printed figures side by side."""

from collections import Counter
from collections.abc import Sequence

from sfic_bench.paper.suspicious import KNOWN_OF_PRINTED
from sfic_bench.reporting.cells import bounds, estimate
from sfic_bench.reporting.columns import INTERVAL, Cells, tabulated
from sfic_bench.reporting.table import Column, Table
from sfic_bench.results.tables import CellVerdict, PaperTableResult, TableCell
from sfic_bench.units import format_ratio

MARKS: dict[CellVerdict, str] = {
    "reproduced": "=", "higher": "+", "lower": "−", "undecided": "?", "other data": "~", "missing": "", "quoted": "",
}  # fmt: skip
"""How a cell of the wide form shows its verdict."""

CELL_COLUMNS: tuple[Cells[TableCell], ...] = (
    Cells("network", lambda cell: cell.model, number=False),
    Cells("α", lambda cell: format_ratio(cell.alpha), always=True),
    Cells("β", lambda cell: format_ratio(cell.beta), always=True),
    Cells("trained on", lambda cell: cell.train_on, number=False),
    Cells("tested on", lambda cell: cell.test_on, number=False),
    Cells("metric", lambda cell: cell.metric, number=False),
    Cells("measured %", lambda cell: estimate(cell.measured, ".2f"), always=True),
    Cells(INTERVAL, lambda cell: bounds(cell.measured, ".2f")),
    Cells("printed %", lambda cell: f"{cell.printed:.2f}"),
    Cells("verdict", lambda cell: cell.verdict, number=False),
    Cells("seeds", lambda cell: str(cell.seeds) if cell.seeds else "", rank=1),
    Cells("measured on", lambda cell: cell.measured_on, number=False, rank=2),
)


def paper_tables(result: PaperTableResult) -> list[Table]:
    """The wide form, then every cell with its interval."""
    counts = Counter(cell.verdict for cell in result.rows)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    notes = [
        "each cell: measured over printed, percent; = printed lies in the measured 95% interval, + measured is higher, "
        "− lower, ? without an interval, ~ on other data, which cannot be compared",
        verdicts,
        KNOWN_OF_PRINTED,
        *result.notes,
    ]
    cells = tabulated("Every cell", CELL_COLUMNS, result.rows, folded=True)
    return [_wide(f"Table {result.table}, measured and printed", result.rows, notes), cells]


def _wide(title: str, cells: Sequence[TableCell], notes: Sequence[str]) -> Table:
    """A row for each network, and for each pair of data sets and each metric a column."""
    columns = list(dict.fromkeys((cell.train_on, cell.test_on, cell.metric) for cell in cells))
    by_place = {(cell.model, cell.alpha, cell.beta, cell.train_on, cell.test_on, cell.metric): cell for cell in cells}
    networks = list(dict.fromkeys((cell.model, cell.alpha, cell.beta) for cell in cells))
    headings = [Column(name="network"), Column(name="α", number=True), Column(name="β", number=True)]
    for rank, (train, test, metric) in enumerate(columns):
        where = test if train == test or " without " in train else f"{train} →\n{test}"
        headings.append(Column(name=f"{where}\n{metric}", number=True, rank=rank))
    rows = [
        [network[0], format_ratio(network[1]), format_ratio(network[2]),
         *(_cell(by_place.get((*network, *column))) for column in columns)]
        for network in networks
    ]  # fmt: skip
    return Table(title=title, columns=headings, rows=rows, notes=list(notes))


def _cell(cell: TableCell | None) -> str:
    if cell is None:
        return ""
    return f"{estimate(cell.measured, '.2f') or '–'} {MARKS[cell.verdict]}/ {cell.printed:.2f}"
