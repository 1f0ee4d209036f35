"""Times as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sfic_bench.measure.conditions import Device, MemoryLayout
from sfic_bench.report.cells import bounds, count, estimate, number, ratio, size
from sfic_bench.report.columns import INTERVAL, Cells, interval_columns, tabulated
from sfic_bench.report.table import Table
from sfic_bench.results.environment import Environment
from sfic_bench.results.timing import Best, Family, TimingResult, TimingRow, common_layout, vanilla_rows
from sfic_bench.units import format_ratio

OVER_VANILLA = (
    "vs. vanilla: median of ratios paired by round, on the same path and in the same layout; 95% bootstrap intervals"
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A timed row and the vanilla row that it is compared with, if there is one.

    Attributes:
        names_layout: whether the table has rows of both memory layouts, so that a path is named with its own.
    """

    row: TimingRow
    vanilla: TimingRow | None
    names_layout: bool

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


def compared(rows: Sequence[TimingRow]) -> list[Compared]:
    """Each of ``rows``, which are of one file, with its vanilla row."""
    vanilla, names_layout = vanilla_rows(rows), common_layout(rows) is MemoryLayout.BOTH
    return [Compared(row, vanilla.get(row.vanilla_key), names_layout) for row in rows]


def _clock(line: Compared) -> str:
    clocks = [clock for clock in line.row.sm_clock_mhz if clock is not None]
    return f"{median(clocks):.0f}" if clocks else ""


def _error(line: Compared) -> str:
    error = line.row.max_abs_error
    return "" if error is None else error if isinstance(error, str) else f"{error:.1e}"


TIMING_COLUMNS: list[Cells[Compared]] = [
    Cells("network", lambda line: line.row.name, number=False, always=True),
    Cells("α", lambda line: format_ratio(line.row.alpha), always=True),
    Cells("β", lambda line: format_ratio(line.row.beta), always=True),
    Cells("path", lambda line: line.path, number=False, always=True),
    Cells("ms", lambda line: estimate(line.row.latency_ms) or line.row.status, always=True),
    Cells(INTERVAL, lambda line: bounds(line.row.latency_ms), rank=3),
    *interval_columns("vs.\nvanilla", lambda line: line.row.ratio_to_vanilla, ".3f"),
    Cells("GMac", lambda line: count(line.row.macs, "G"), rank=2),
    Cells("MACs\nvs. vanilla", lambda line: number(line.macs_ratio, ".3f"), rank=2),
    Cells("vs. floor", lambda line: number(line.row.over_floor), rank=4),
    Cells("peak MB", lambda line: count(line.peak_bytes, "M", 1), rank=3),
    Cells("mJ/image", lambda line: number(ratio(line.row.energy_per_image_j, 1e-3), ".1f"), rank=4),
    Cells("SM MHz", _clock, rank=4),
    Cells("error", _error, rank=5),
    Cells("set-up s", lambda line: f"{line.row.setup_s:.1f}" if line.row.setup_s else "", rank=5),
    Cells("samples", lambda line: str(len(line.row.samples_ms) or ""), rank=5),
    Cells("remark", lambda line: line.remark, number=False),
]

NOTES = (
    "GMac: conv-linear, of the whole batch; vs. floor: over the roofline measured in the same run; peak MB: the most "
    "that torch's allocator had given out at once; error: largest of an output, against the float64 reference",
)

BEST_COLUMNS: list[Cells[Best]] = [
    Cells("network", lambda best: best.name, number=False),
    Cells("α", lambda best: format_ratio(best.alpha)),
    Cells("β", lambda best: format_ratio(best.beta)),
    Cells("path", lambda best: f"{best.path}, {best.layout.words}", number=False),
    Cells("vanilla's path", lambda best: f"{best.vanilla_path}, {best.vanilla_layout.words}", number=False, rank=1),
    *interval_columns("vs.\nvanilla", lambda best: best.ratio_to_vanilla, ".3f"),
    Cells("MACs\nvs. vanilla", lambda best: number(best.macs_to_vanilla, ".3f"), rank=1),
]


def timing_tables(result: TimingResult) -> list[Table]:
    """The tables that ``latency`` prints: every row, then the fastest of each network against the fastest vanilla."""
    notes = [*map(_family_note, result.families), _machine_note(result.environment)]
    if result.unwatched and result.conditions is not None and result.conditions.device is Device.CUDA:
        notes.append(f"no SM clock, throttling or energy: {result.unwatched}")
    notes.append(OVER_VANILLA)
    if result.peak is not None:
        notes.append(
            f"vs. floor: over the roofline of {result.peak.macs_per_s / 1e9:,.0f} GMac/s (matrix product) "
            f"and {result.peak.bytes_per_s / 1e9:,.0f} GB/s (copy), both measured in this run"
        )
    lines = compared(result.rows)
    tables = [tabulated(describe(result), TIMING_COLUMNS, lines, notes=notes, group_by=lambda line: line.row.name)]
    if best := [best for family in result.families for best in family.best]:
        title = "The fastest path and layout of each network against vanilla's fastest, best against best"
        tables.append(tabulated(title, BEST_COLUMNS, best))
    return tables


def describe(result: TimingResult) -> str:
    """The conditions of a measurement in a line, such as ``inference, batch 4, 256×256, fp32, contiguous, cpu``."""
    conditions = result.conditions
    if conditions is None:
        return "pytest-benchmark"
    mode = "training step" if conditions.training else "inference"
    return (
        f"{mode}, batch {conditions.batch_size}, {size(conditions.input_size)}, {conditions.dtype}, "
        f"{common_layout(result.rows).words}, {conditions.device}"
    )


def _family_note(family: Family) -> str:
    noise = family.vanilla_against_itself
    words = "" if noise is None else f"; vanilla against itself: {bounds(noise, '.3f', between=' to ')}"
    return f"{family.name}: {family.rounds} rounds, stopped by {family.stopped_by}{words}"


def _machine_note(environment: Environment) -> str:
    isa = environment.onednn_max_cpu_isa
    limit = f", oneDNN at most {isa}" if isa else ""
    return f"{environment.processor}{limit}, {environment.threads} threads, torch {environment.packages.get('torch')}"
