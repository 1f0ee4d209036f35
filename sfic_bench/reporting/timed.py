"""Timed rows beside the vanilla rows that they are compared with."""

from dataclasses import dataclass

from sfic_bench.measure.conditions import MemoryLayout
from sfic_bench.reporting.cells import ratio
from sfic_bench.results.timing import TimingResult, TimingRow, common_layout, throughput, vanilla_rows
from sfic_bench.statistics.interval import Interval


@dataclass(frozen=True, slots=True)
class Compared:
    """A timed row and the vanilla row that it is compared with, if there is one.

    Attributes:
        names_layout: whether the table has rows of both memory layouts, so that a path is named with its own.
        batch_size: images in one call; ``None`` in a file of pytest-benchmark.
    """

    row: TimingRow
    vanilla: TimingRow | None
    names_layout: bool
    batch_size: int | None

    @property
    def path(self) -> str:
        """The execution path, with what else tells the row from others of its network."""
        layout = self.row.layout.words if self.names_layout else ""
        cache = f"{self.row.l2} L2" if self.row.l2 else ""
        return ", ".join(filter(None, (self.row.path, layout, cache)))

    @property
    def macs_ratio(self) -> float | None:
        """MACs over vanilla's; ``None`` for vanilla itself."""
        return None if self.vanilla is None or self.row.is_vanilla else ratio(self.row.macs, self.vanilla.macs)

    @property
    def images_per_s(self) -> Interval | None:
        """Images a second."""
        latency, images = self.row.latency_ms, self.batch_size
        return None if latency is None or images is None else throughput(latency, images)

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that torch's allocator had given out at once."""
        return self.row.peak_bytes.get("peak_allocated")

    @property
    def remark(self) -> str:
        """Why there is no time, or what a reader must know about the time."""
        remarks = [self.row.reason] if self.row.reason else []
        if self.row.fewer_macs_but_slower:
            remarks.append("fewer MACs but slower")
        if throttled := self.row.samples_throttled:
            remarks.append(f"{throttled} of {len(self.row.samples_ms)} samples throttled")
        return "; ".join(remarks)


def compared(result: TimingResult) -> list[Compared]:
    """Each row of ``result`` with its vanilla row."""
    rows, common = result.rows, None if result.conditions is None else result.conditions.batch_size
    vanilla, names_layout = vanilla_rows(rows), common_layout(rows) is MemoryLayout.BOTH
    return [Compared(row, vanilla.get(row.vanilla_key), names_layout, row.batch_size or common) for row in rows]
