"""Sections on batch sizes: latency, throughput and memory of networks over the images in one call."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from sfic_bench.reporting.cells import bounds, estimate
from sfic_bench.reporting.columns import INTERVAL, Cells, interval_columns, tabulated
from sfic_bench.reporting.overview import setting
from sfic_bench.reporting.page.charts import over_batch_sizes
from sfic_bench.reporting.page.section import Charts, Section
from sfic_bench.reporting.step_tables import fit_tables, parts_tables
from sfic_bench.reporting.table import Table
from sfic_bench.reporting.timed import Compared
from sfic_bench.reporting.timing_tables import OF_TAILS, OVER_VANILLA, TAILS
from sfic_bench.results.fields import label
from sfic_bench.results.read import ResultFile
from sfic_bench.results.timing import BatchCurve
from sfic_bench.units import format_ratio

BATCH_COLUMNS: list[Cells[Compared]] = [
    Cells("network", lambda line: line.row.name, number=False),
    Cells("α", lambda line: format_ratio(line.row.alpha), always=True),
    Cells("β", lambda line: format_ratio(line.row.beta), always=True),
    Cells("path", lambda line: line.path, number=False),
    Cells("batch", lambda line: str(line.batch_size or "")),
    *interval_columns("images/s", lambda line: line.images_per_s, ".1f"),
    Cells("p50 ms", lambda line: estimate(line.row.latency_ms) or line.row.status),
    Cells(INTERVAL, lambda line: bounds(line.row.latency_ms)),
    *TAILS,
    *interval_columns("vs.\nvanilla", lambda line: line.row.ratio_to_vanilla, ".3f"),
    Cells("remark", lambda line: line.remark, number=False),
]

END_COLUMNS: list[Cells[BatchCurve]] = [
    Cells("network", lambda curve: curve.name, number=False),
    Cells("batch sizes", lambda curve: ", ".join(map(str, curve.batch_sizes)), number=False),
    Cells("ended by", lambda curve: curve.ended_by, number=False),
    Cells("because", lambda curve: curve.reason, number=False),
]


def batch_sections(files: Sequence[ResultFile], times: pd.DataFrame) -> Iterator[Section]:
    """A section for all rows that were timed alike but for their batch size, if there are several sizes."""
    groups = [(str(apart), rows) for apart, rows in times.groupby("apart", sort=False) if rows["batch"].nunique() > 1]
    for i, (apart, rows) in enumerate(groups, 1):
        lines: list[Compared] = list(rows["line"])
        of_group = [f.timing for f in files if f.timing is not None and setting(f, f.timing, None) == apart]
        ends = [curve for timing in of_group for curve in timing.curves]
        every = tabulated(
            "Every batch size", BATCH_COLUMNS, lines, notes=[OVER_VANILLA, OF_TAILS], folded=True,
            group_by=lambda line: (line.row.name, line.batch_size),
        )  # fmt: skip
        tables: list[Table] = [every, *parts_tables(lines)]
        tables += fit_tables([fit for timing in of_group for fit in timing.fits])
        if ends:
            tables.append(tabulated("What ended each series of batch sizes", END_COLUMNS, ends))
        yield Section(
            name=f"batches-{i}",
            title=f"Time over batch size: {apart}",
            lead="What more images in one call cost and give. Bars are 95% intervals of medians; vanilla is dashed. "
            "Where images a second stop rising, a larger batch only makes each call wait longer.",
            tables=tables,
            charts=_charts(rows, lines),
        )


def _charts(rows: pd.DataFrame, lines: Sequence[Compared]) -> Charts:
    frame = rows.drop(columns="line").assign(
        row=[label((*line.row.key[:3], line.path)) for line in lines],
        where=[f"{line.row.name}, {line.path}" for line in lines],
        vanilla=[line.row.is_vanilla for line in lines],
    )
    timed = frame[frame["ms"].notna()]
    charts = {}
    if timed["batch"].nunique() > 1:
        charts["Images a second against batch size"] = partial(over_batch_sizes, timed, "images_s")
        charts["Milliseconds of one call against batch size"] = partial(over_batch_sizes, timed, "ms", logarithmic=True)
    known = frame[frame["total_mb"].notna()]
    if known["batch"].nunique() > 1:
        charts["Memory of one call against batch size"] = partial(over_batch_sizes, known, "total_mb")
    return charts
