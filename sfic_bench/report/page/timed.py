"""Sections on time, memory and energy."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from sfic_bench.report.page.section import Section
from sfic_bench.report.timing_tables import NOTES, OVER_VANILLA, timing_table

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec


def slower_section(times: pd.DataFrame) -> Section:
    """Rows that have fewer MACs than vanilla and take longer, a table for each setting."""
    slower = times[times["slower"]]
    timed = times["alpha"].notna() & times["ratio"].notna()
    lead = f"None of {timed.sum()} timed SFIC rows has fewer MACs than vanilla and takes longer for sure."
    if len(slower):
        lead = (
            f"{len(slower)} of {timed.sum()} timed SFIC rows have fewer MACs than vanilla on the same path, and the whole "
            "interval of their time lies above vanilla's: MACs alone would have promised the opposite."
        )
    tables = [
        timing_table(str(where), list(rows["line"]), notes=NOTES)
        for where, rows in slower.groupby("setting", sort=False)
    ]
    return Section(name="slower", title="Fewer MACs but slower", lead=lead, tables=tables)


def time_sections(times: pd.DataFrame, samples: pd.DataFrame) -> Iterator[Section]:
    """One section for each setting: what was measured differently is never in one chart."""
    from sfic_bench.report.page.charts import heat_maps, pareto, strips, with_intervals

    for i, (where, rows) in enumerate(times.groupby("setting", sort=False), 1):
        drawn = with_intervals(rows[rows["ms"].notna()]).drop(columns="line")
        own_samples = samples[samples["setting"] == where]
        ratios = drawn[drawn["alpha"].notna()].assign(facet=drawn["backbone"] + ", " + drawn["path"])
        charts: dict[str, Callable[[], Spec]] = {}
        if drawn["gmacs"].notna().any():
            charts["Time against MACs; no point beats those on the dashed front in both"] = partial(
                pareto, drawn, "gmacs", "ms"
            )
        if drawn["peak_mb"].notna().any():
            charts["Peak memory against time"] = partial(pareto, drawn, "ms", "peak_mb")
        if ratios["ratio"].notna().any():
            charts["Time over vanilla's on the same path, by α and β"] = partial(heat_maps, ratios, "ratio", "facet")
        if len(own_samples):
            charts["Every sample; a diamond marks the median"] = partial(strips, own_samples)
        yield Section(
            name=f"times-{i}",
            title=f"Time and memory: {where}",
            lead=f"{OVER_VANILLA[0].upper()}{OVER_VANILLA[1:]}.",
            tables=[timing_table("Every timed path", list(rows["line"]), notes=NOTES, folded=True)],
            charts=charts,
        )
