"""Sections on parameters and MACs, and on what the paper prints about them."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from sfic_bench.reporting import overview
from sfic_bench.reporting.audit_tables import NOTE_COLUMN, PRINTED_COLUMNS, audit_tables
from sfic_bench.reporting.columns import tabulated
from sfic_bench.reporting.cost_tables import DEFAULT, FUSED, cost_columns, layer_table
from sfic_bench.reporting.page.charts import heat_maps, layer_bars, pareto
from sfic_bench.reporting.page.section import Section
from sfic_bench.results.audit import AuditRow
from sfic_bench.results.read import ResultFile

MOST_LAYERED = 40
"""Networks whose layers one report shows."""


def cost_section(costs: pd.DataFrame) -> Section:
    """Parameters and MACs over the grid."""
    charts = {}
    for name, caption in (
        ("paper_ratio", "MACs over vanilla's in the paper's convention, by α and β"),
        ("fused_ratio", "MACs over vanilla's (conv-linear) after fusing, by α and β"),
    ):
        ratios = costs[costs["alpha"].notna() & costs[name].notna()].assign(ratio=costs[name])
        ratios = ratios[["row", "alpha", "beta", "ratio", "gmacs", "params", "backbone"]].drop_duplicates(
            ["row", "ratio"]  # counted in two files
        )
        if len(ratios):
            charts[caption] = partial(heat_maps, ratios, "ratio", "backbone")
    notes = [
        "one image; one multiply-add is one MAC",
        "paper: modules only, as ptflops up to 0.7.0; conv-linear: every convolution, linear and matrix product",
        FUSED,
    ]
    columns = cost_columns(["paper", DEFAULT])
    return Section(
        name="costs",
        title="Parameters and MACs",
        lead="Integers, the same on every machine; no interval applies.",
        tables=[tabulated("Every counted network", columns, list(costs["line"]), notes=notes, folded=True)],
        charts=charts,
    )


def published_section(files: Sequence[ResultFile]) -> Iterator[Section]:
    """The paper's printed AUC over MACs counted here."""
    frame = overview.published(files)
    if len(frame):
        chart = partial(pareto, frame, "gmacs", "auc", highest=True, choose="task")
        yield Section(
            name="printed",
            title="Printed accuracy against MACs",
            lead="AUC as the paper prints it, in percent and without intervals, since it gives none; it was not "
            "measured here. MACs are counted here, in the paper's convention.",
            charts={"AUC against MACs; no point beats those on the dashed front in both": chart},
        )


def paper_section(rows: Sequence[AuditRow], files: Sequence[ResultFile]) -> Iterator[Section]:
    """The paper's printed costs beside counted ones, and the other findings of the files of ``audit``."""
    if rows:
        matches = sum(row.verdict == "match" for row in rows)
        columns = [*PRINTED_COLUMNS, NOTE_COLUMN]
        others = [table for file in files if file.audit is not None for table in audit_tables(file.audit)[1:]]
        yield Section(
            name="paper",
            title="Printed against counted",
            lead=f"{matches} of {len(rows)} printed figures match to the printed digit; notes explain the others.",
            tables=[tabulated("Printed and counted", columns, rows, folded=True), *others],
        )


def layer_section(files: Sequence[ResultFile]) -> Iterator[Section]:
    """MACs of each layer of each network."""
    frame, left_out = overview.layers(files, MOST_LAYERED)
    if not len(frame):
        return
    lead = "Where the MACs are (conv-linear), in the order of the forward pass."
    if left_out:
        lead += f" The first {MOST_LAYERED} networks; {left_out} more are in the file."
    drawn = frame[frame["mmacs"].fillna(0) > 0].drop(columns="line")
    yield Section(
        name="layers",
        title="Layers",
        lead=lead,
        tables=[layer_table("Every layer", list(frame["line"]), [DEFAULT], folded=True)],
        charts={"MACs of each layer that has any": partial(layer_bars, drawn)} if len(drawn) else {},
    )
