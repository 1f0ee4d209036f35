"""Sections on what was measured: time, memory, energy and accuracy."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from sfic_bench.reporting import overview
from sfic_bench.reporting.accuracy_tables import ACCURACY_COLUMNS, NOTE, matrix_tables
from sfic_bench.reporting.columns import tabulated
from sfic_bench.reporting.page.charts import heat_maps, pareto, reliability_diagram, strips
from sfic_bench.reporting.page.section import Section
from sfic_bench.reporting.paper_tables import paper_tables
from sfic_bench.reporting.score_tables import reliability_table, score_tables
from sfic_bench.reporting.step_tables import parts_tables
from sfic_bench.reporting.timing_tables import NOTES, OVER_VANILLA, TIMING_COLUMNS
from sfic_bench.results.read import ResultFile


def accuracy_section(accuracies: pd.DataFrame) -> Section:
    """The accuracies that ``accuracy`` measured, and their chart over MACs where those were counted."""
    drawn = accuracies.drop(columns="line").dropna(subset=["gmacs", "auc"])
    chart = partial(pareto, drawn, "gmacs", "auc", highest=True, choose="task")
    caption = "AUC against MACs; no point beats those on the dashed front in both"
    lines = list(accuracies["line"])
    every = tabulated("Every experiment", ACCURACY_COLUMNS, lines, notes=[NOTE], folded=True)
    return Section(
        name="scores",
        title="Measured accuracy",
        lead="Means over seeds. MACs are those of one image at 256×256, in the paper's convention.",
        tables=[*matrix_tables(lines), every],
        charts={caption: chart} if len(drawn) else {},
    )


def scores_section(files: Sequence[ResultFile]) -> Iterator[Section]:
    """The scores of single trained networks, a table for each file of ``train`` or ``evaluate``."""
    tables, charts = [], {}
    for file in files:
        if (s := file.scores) is None:
            continue
        name = f"{s.run} on {s.data}, {s.split}: {s.images:,} images"
        tables += score_tables(name, s, f"from {file.path.name}")
        if s.reliability:
            tables.append(reliability_table(f"Calibration of {name}", s.reliability))
            caption = f"Reliability of {s.run}, from {file.path}: on the dashed line probabilities are calibrated"
            charts[caption] = partial(reliability_diagram, overview.reliability(s))
    if tables:
        lead = "One network each, trained once: other seeds give other scores, which `sfic-bench accuracy` shows."
        yield Section(
            name="trained", title="Scores of trained networks", lead=lead, tables=tables, charts=charts, first=True
        )


def table_sections(files: Sequence[ResultFile]) -> Iterator[Section]:
    """The paper's tables with measured accuracies, one for each file of ``table``."""
    for i, table in enumerate((table for file in files if (table := file.table) is not None), 1):
        wide, cells = paper_tables(table)
        lead = "The paper's form, each cell with the measured figure over the printed one."
        yield Section(name=f"table-{i}", title=wide.title, lead=lead, tables=[wide, cells], first=True)


def slower_section(times: pd.DataFrame) -> Section:
    """Rows that have fewer MACs than vanilla and take longer, a table for each setting."""
    slower = times[times["slower"]]
    timed = times["alpha"].notna() & times["ratio"].notna()
    lead = f"None of {timed.sum()} timed SFIC rows has fewer MACs than vanilla and takes longer for sure."
    if len(slower):
        lead = (
            f"{len(slower)} of {timed.sum()} timed SFIC rows have fewer MACs than vanilla on the same path, and the "
            "whole interval of their time lies above vanilla's: MACs alone would have promised the opposite."
        )
    tables = [
        tabulated(str(setting), TIMING_COLUMNS, list(rows["line"]), notes=NOTES)
        for setting, rows in slower.groupby("setting", sort=False)
    ]
    return Section(name="slower", title="Fewer MACs but slower", lead=lead, tables=tables)


def time_sections(times: pd.DataFrame, samples: pd.DataFrame) -> Iterator[Section]:
    """One section for each setting, since times of different settings must not share a chart.

    What one file has of several batch sizes is in a section of its own, see `sfic_bench.reporting.page.batches`.
    """
    for i, (setting, rows) in enumerate(times[~times["of_curve"]].groupby("setting", sort=False), 1):
        drawn = rows[rows["ms"].notna()].drop(columns="line")
        own_samples = samples[samples["setting"] == setting]
        ratios = drawn[drawn["alpha"].notna()].assign(facet=drawn["backbone"] + ", " + drawn["path"])
        charts = {}
        if drawn["gmacs"].notna().any():
            charts["Time against MACs; no point beats those on the dashed front in both"] = partial(
                pareto, drawn, "gmacs", "ms"
            )
        if drawn["peak_mb"].notna().any():
            charts["Peak memory against time"] = partial(pareto, drawn, "ms", "peak_mb")
        if ratios["ratio"].notna().any():
            charts["Time over vanilla's on the same path, by α and β"] = partial(heat_maps, ratios, "ratio", "facet")
        if len(own_samples):
            charts["Samples of each row; a diamond marks the median"] = partial(strips, own_samples)
        yield Section(
            name=f"times-{i}",
            title=f"Time and memory: {setting}",
            lead=f"{OVER_VANILLA[0].upper()}{OVER_VANILLA[1:]}.",
            tables=[
                tabulated("Every timed path", TIMING_COLUMNS, list(rows["line"]), notes=NOTES, folded=True),
                *parts_tables(list(rows["line"])),
            ],
            charts=charts,
        )
