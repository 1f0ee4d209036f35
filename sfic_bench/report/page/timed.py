"""Sections on time and memory."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from sfic_bench.report.page.section import Section, interval, known, text
from sfic_bench.report.table import Column, Table
from sfic_bench.units import format_ratio

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec


def slower_section(times: pd.DataFrame) -> Section:
    """Rows that have fewer MACs than vanilla and take longer."""
    slower = times[times["slower"]]
    timed = times["alpha"].notna() & times["ratio"].notna()
    lead = f"None of {timed.sum()} timed SFIC rows has fewer MACs than vanilla and takes longer for sure."
    if len(slower):
        lead = (
            f"{len(slower)} of {timed.sum()} timed SFIC rows have fewer MACs than vanilla on the same path, and the whole "
            "interval of their time lies above vanilla's: MACs alone would have promised the opposite."
        )
    return Section(
        name="slower", title="Fewer MACs but slower", lead=lead,
        tables=[_time_table("Rows", slower)] if len(slower) else [],
    )  # fmt: skip


def time_sections(times: pd.DataFrame, samples: pd.DataFrame) -> Iterator[Section]:
    """One section for each setting: what was measured differently is never in one chart."""
    from sfic_bench.report.page.charts import heat_maps, pareto, strips, with_intervals

    for i, (where, rows) in enumerate(times.groupby("setting", sort=False), 1):
        drawn = with_intervals(rows[rows["ms"].notna()])
        of_here = samples[samples["setting"] == where]
        ratios = drawn[drawn["alpha"].notna()].assign(facet=drawn["backbone"] + ", " + drawn["path"])
        charts: dict[str, Callable[[], Spec]] = {}
        if drawn["gmacs"].notna().any():
            charts["Time against MACs; no point beats those on the dashed front in both"] = partial(
                pareto, drawn, "gmacs", "ms"
            )
        if drawn["peak_mb"].notna().any():
            charts["Peak memory against time"] = partial(pareto, drawn, "ms", "peak_mb")
        if ratios["ratio"].notna().any():
            charts["Time over vanilla's on the same path, by α and β"] = partial(
                heat_maps, ratios, "ratio", "facet"
            )
        if len(of_here):
            charts["Every sample; a diamond marks the median"] = partial(strips, of_here)
        yield Section(
            name=f"times-{i}",
            title=f"Time and memory: {where}",
            lead="÷ vanilla is the median of ratios paired by round, on the same path; intervals are 95% bootstraps.",
            tables=[_time_table("Every timed path", rows)],
            charts=charts,
        )


def _time_table(title: str, rows: pd.DataFrame) -> Table:
    names = (
        "name",
        "α",
        "β",
        "path",
        "ms",
        "95%",
        "÷ vanilla",
        "95%",
        "GMac",
        "MACs ÷",
        "÷ floor",
        "peak MB",
        "samples",
    )
    columns = [Column(name=n, number=n not in ("name", "path")) for n in names]
    cells = [
        [
            r.backbone, format_ratio(known(r.alpha)), format_ratio(known(r.beta)), r.path,
            r.status if known(r.ms) is None else text(r.ms, ".2f"), interval(r.ms_low, r.ms_high, ".2f"),
            text(r.ratio, ".3f"), interval(r.ratio_low, r.ratio_high, ".3f"),
            text(r.gmacs, ".2f"), text(r.macs_ratio, ".3f"), text(r.over_floor, ".2f"), text(r.peak_mb, ".1f"),
            text(r.samples, ".0f"), r.remark,
        ]
        for r in rows.itertuples(index=False)
    ]  # fmt: skip
    notes = ["GMac: conv-linear, of the whole batch; ÷ floor: over the roofline measured in the same run"]
    return Table(title=title, columns=[*columns, Column(name="remark")], rows=cells, notes=notes, folded=True)
