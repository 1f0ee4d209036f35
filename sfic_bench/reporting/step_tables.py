"""Training steps in their parts, and the largest batches that fit, as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from sfic_bench.measure.conditions import MemoryLayout
from sfic_bench.reporting.cells import bounds, count, estimate, number, ratio
from sfic_bench.reporting.columns import INTERVAL, Cells, interval_columns, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.reporting.timed import Compared
from sfic_bench.results.timing import WHOLE, Fit, StepPart
from sfic_bench.units import format_ratio


@dataclass(frozen=True)
class PartLine:
    """One part of a row's training step."""

    line: Compared
    name: str
    part: StepPart

    @property
    def share(self) -> float | None:
        """The part's median over that of the whole."""
        whole = self.line.row.parts.get(WHOLE)
        return None if whole is None else ratio(self.part.ms.estimate, whole.ms.estimate)


PART_COLUMNS: list[Cells[PartLine]] = [
    Cells("network", lambda part: part.line.row.name, number=False, always=True),
    Cells("α", lambda part: format_ratio(part.line.row.alpha), always=True),
    Cells("β", lambda part: format_ratio(part.line.row.beta), always=True),
    Cells("path", lambda part: part.line.path, number=False),
    Cells("batch", lambda part: str(part.line.row.batch_size or "")),
    Cells("part", lambda part: part.name, number=False),
    Cells("ms", lambda part: estimate(part.part.ms)),
    Cells(INTERVAL, lambda part: bounds(part.part.ms), rank=3),
    Cells("share", lambda part: number(part.share), rank=2),
    *interval_columns("vs.\nvanilla", lambda part: part.part.ratio_to_vanilla, ".3f"),
]

PARTS_NOTE = (
    "forward (with the loss) and backward add up to the time of the step above, call by call; the optimiser's step "
    "(Adam, fused) follows each call and is not part of that time; share: of the whole step, which is all three"
)


def parts_tables(lines: Sequence[Compared]) -> list[Table]:
    """The parts of training steps, if any row has them."""
    parts = [PartLine(line, name, part) for line in lines for name, part in line.row.parts.items()]
    if not parts:
        return []
    title = "Parts of a training step"
    return [tabulated(title, PART_COLUMNS, parts, notes=[PARTS_NOTE], group_by=lambda part: part.line.row.key)]


FIT_COLUMNS: list[Cells[Fit]] = [
    Cells("network", lambda fit: fit.name, number=False),
    Cells("α", lambda fit: format_ratio(fit.alpha), always=True),
    Cells("β", lambda fit: format_ratio(fit.beta), always=True),
    Cells("path", lambda fit: fit.path, number=False),
    Cells("layout", lambda fit: fit.layout.words, number=False, rank=2),
    Cells("batch", lambda fit: f"≤{fit.batch_size}" if fit.basis == "bound" else str(fit.batch_size)),
    Cells("takes MB", lambda fit: count(fit.total_bytes, "M", 0)),
    Cells("basis", lambda fit: fit.basis, number=False),
]

FITS_NOTE = (
    "measured: so many images were run and fit, one more did not; estimated: on the line through the memory of "
    "measured batch sizes; bound: not measured, at most so many by counted parameters and activations"
)


def fit_tables(fits: Sequence[Fit]) -> list[Table]:
    """The largest batches that fit, a table for each limit."""
    return [
        tabulated(
            f"The largest batch of which one call fits into {_memory(limit)}",
            [column for column in FIT_COLUMNS if column.heading != "layout" or _several_layouts(fits)],
            [fit for fit in fits if fit.limit_bytes == limit],
            notes=[FITS_NOTE],
        )
        for limit in dict.fromkeys(fit.limit_bytes for fit in fits)
    ]


def _memory(size: int) -> str:
    """A limit of memory in the unit in which it has fewer digits, such as ``8 GiB`` or ``80 GB``."""
    return min((f"{size / 2**30:.4g} GiB", f"{size / 1e9:.4g} GB"), key=len)


def _several_layouts(fits: Sequence[Fit]) -> bool:
    return {fit.layout for fit in fits} != {MemoryLayout.CONTIGUOUS}
