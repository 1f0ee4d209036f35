"""Times as tables."""

from collections.abc import Callable
from operator import attrgetter
from statistics import median

from sfic_bench.measure.conditions import Device
from sfic_bench.reporting.cells import bounds, count, estimate, number, ratio, size
from sfic_bench.reporting.columns import INTERVAL, Cells, interval_columns, tabulated
from sfic_bench.reporting.step_tables import fit_tables, parts_tables
from sfic_bench.reporting.table import Table
from sfic_bench.reporting.timed import Compared, compared
from sfic_bench.results.environment import Environment
from sfic_bench.results.timing import BatchCurve, Best, Family, TimingResult, common_layout
from sfic_bench.statistics.percentiles import least_samples, percentile
from sfic_bench.units import format_ratio

OVER_VANILLA = (
    "vs. vanilla: median of ratios paired by round, on the same path and in the same layout; 95% bootstrap intervals"
)


def _clock(line: Compared) -> str:
    clocks = [clock for clock in line.row.sm_clock_mhz if clock is not None]
    return f"{median(clocks):.0f}" if clocks else ""


def _error(line: Compared) -> str:
    error = line.row.max_abs_error
    return "" if error is None else error if isinstance(error, str) else f"{error:.1e}"


def _tail(percent: int) -> Callable[[Compared], str]:
    """The cell of a percentile, or what it is at least where samples are too few to bound it from above."""

    def cell(line: Compared) -> str:
        if not line.row.samples_ms:
            return ""
        tail = percentile(line.row.samples_ms, percent)
        return f"{tail.estimate:.2f}" if tail.interval else "" if tail.low is None else f"≥{tail.low:.2f}"

    return cell


TAILS: list[Cells[Compared]] = [
    Cells("p90 ms", _tail(90), rank=3),
    Cells("p99 ms", _tail(99), rank=3),
]

OF_TAILS = (
    "ms: median (p50) of the calls; p90, p99: what 90 and 99% of them take at most; ≥: at least that much, since fewer "
    f"than {least_samples(90)} samples for p90, or {least_samples(99)} for p99, do not bound it from above (--rounds)"
)

TIMING_COLUMNS: list[Cells[Compared]] = [
    Cells("network", lambda line: line.row.name, number=False, always=True),
    Cells("α", lambda line: format_ratio(line.row.alpha), always=True),
    Cells("β", lambda line: format_ratio(line.row.beta), always=True),
    Cells("path", lambda line: line.path, number=False, always=True),
    Cells("batch", lambda line: str(line.row.batch_size or "")),
    Cells("ms", lambda line: estimate(line.row.latency_ms) or line.row.status, always=True),
    Cells(INTERVAL, lambda line: bounds(line.row.latency_ms), rank=3),
    *interval_columns("vs.\nvanilla", lambda line: line.row.ratio_to_vanilla, ".3f"),
    Cells("images/s", lambda line: estimate(line.images_per_s, ".1f"), rank=2),
    *TAILS,
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
    OF_TAILS,
    "GMac: conv-linear, of the whole batch; vs. floor: over the roofline measured in the same run; peak MB: the most "
    "that torch's allocator had given out at once; error: largest of an output, against the float64 reference",
)

BEST_COLUMNS: list[Cells[Best]] = [
    Cells("network", lambda best: best.name, number=False),
    Cells("α", lambda best: format_ratio(best.alpha)),
    Cells("β", lambda best: format_ratio(best.beta)),
    Cells("batch", lambda best: str(best.batch_size or "")),
    Cells("path", lambda best: f"{best.path}, {best.layout.words}", number=False),
    Cells("vanilla's path", lambda best: f"{best.vanilla_path}, {best.vanilla_layout.words}", number=False, rank=1),
    *interval_columns("vs.\nvanilla", lambda best: best.ratio_to_vanilla, ".3f"),
    Cells("MACs\nvs. vanilla", lambda best: number(best.macs_to_vanilla, ".3f"), rank=1),
]


def timing_tables(result: TimingResult) -> list[Table]:
    """The tables that ``latency`` prints.

    They are every row, the parts of training steps, the fastest of each network against the fastest vanilla, and the
    largest batches that fit.
    """
    notes = [*map(_family_note, result.families), *map(_curve_note, result.curves), _machine_note(result.environment)]
    if result.unwatched and result.conditions is not None and result.conditions.device is Device.CUDA:
        notes.append(f"no SM clock, throttling or energy: {result.unwatched}")
    notes += [OVER_VANILLA, OF_TAILS]
    if result.peak is not None:
        notes.append(
            f"vs. floor: over the roofline of {result.peak.macs_per_s / 1e9:,.0f} GMac/s (matrix product) "
            f"and {result.peak.bytes_per_s / 1e9:,.0f} GB/s (copy), both measured in this run"
        )
    lines = compared(result)
    group = attrgetter("name", "batch_size")
    tables = [tabulated(describe(result), TIMING_COLUMNS, lines, notes=notes, group_by=lambda line: group(line.row))]
    tables += parts_tables(lines)
    if best := [best for family in result.families for best in family.best]:
        title = "The fastest path and layout of each network against vanilla's fastest, best against best"
        tables.append(tabulated(title, BEST_COLUMNS, best))
    return [*tables, *fit_tables(result.fits)]


def describe(result: TimingResult) -> str:
    """The conditions of a measurement in a line, such as ``inference, batch 4, 256×256, fp32, contiguous, cpu``."""
    return described(result, ", ".join(map(str, result.batch_sizes)))


def described(result: TimingResult, batch: object) -> str:
    """The conditions of those rows of ``result`` that have this ``batch`` size; without it if that is ``""``."""
    conditions = result.conditions
    if conditions is None:
        return "pytest-benchmark"
    parts = (
        "training step" if conditions.training else "inference", f"batch {batch}" if batch else "",
        size(conditions.input_size), conditions.dtype, common_layout(result.rows).words, conditions.device,
    )  # fmt: skip
    return ", ".join(filter(None, parts))


def _family_note(family: Family) -> str:
    noise = family.vanilla_against_itself
    words = "" if noise is None else f"; vanilla against itself: {bounds(noise, '.3f', between=' to ')}"
    batch = "" if family.batch_size is None else f", batch {family.batch_size}"
    return f"{family.name}{batch}: {family.rounds} rounds, stopped by {family.stopped_by}{words}"


def _curve_note(curve: BatchCurve) -> str:
    return f"{curve.name}: {curve.reason}"


def _machine_note(environment: Environment) -> str:
    isa = environment.onednn_max_cpu_isa
    limit = f", oneDNN at most {isa}" if isa else ""
    return f"{environment.processor}{limit}, {environment.threads} threads, torch {environment.packages.get('torch')}"
