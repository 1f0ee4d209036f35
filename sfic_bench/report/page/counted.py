"""Sections on parameters and MACs, and on what the paper prints about them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from sfic_bench.report import overview
from sfic_bench.report.audit_tables import printed_table
from sfic_bench.report.cost_tables import DEFAULT, FUSED, cost_table
from sfic_bench.report.page.section import Section, known
from sfic_bench.report.table import Column, Table
from sfic_bench.results.audit import AuditRow
from sfic_bench.results.read import ResultFile

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec


MOST_LAYERED = 40
"""Networks whose layers one report shows."""


def cost_section(costs: pd.DataFrame) -> Section:
    """Parameters and MACs over the grid."""
    from sfic_bench.report.page.charts import heat_maps

    charts: dict[str, Callable[[], Spec]] = {}
    for name, caption in (
        ("paper_ratio", "MACs over vanilla's in the paper's convention, by α and β"),
        ("fused_ratio", "MACs over vanilla's (conv-linear) after fusing, by α and β"),
    ):
        ratios = costs[costs["alpha"].notna() & costs[name].notna()].assign(ratio=costs[name], gmacs=costs["paper"])
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
    lines = list(costs["line"])
    table = cost_table("Every counted network", lines, ["paper", DEFAULT], notes=notes, folded=True)
    lead = "Integers, the same on every machine; no interval applies."
    return Section(name="costs", title="Parameters and MACs", lead=lead, tables=[table], charts=charts)


def published_section(files: Sequence[ResultFile]) -> Iterator[Section]:
    """The paper's printed AUC over MACs counted here."""
    from sfic_bench.report.page.charts import pareto

    frame = overview.published(files)
    if not len(frame):
        return

    def chart() -> "Spec":
        return pareto(frame, "gmacs", "auc", highest=True, choose="task")

    yield Section(
        name="printed",
        title="Printed accuracy against MACs",
        lead="AUC as the paper prints it, in percent and without intervals, since it gives none; it was not measured here. "
        "MACs are counted here, in the paper's convention.",
        charts={"AUC against MACs; no point beats those on the dashed front in both": chart},
    )


def paper_section(rows: list[AuditRow]) -> Iterator[Section]:
    """The paper's printed costs beside counted ones."""
    if not rows:
        return
    matches = sum(row.verdict == "match" for row in rows)
    yield Section(
        name="paper",
        title="Printed against counted",
        lead=f"{matches} of {len(rows)} printed figures match to the printed digit; of the others, the note says why.",
        tables=[printed_table(rows)],
    )


def layer_section(files: Sequence[ResultFile]) -> Iterator[Section]:
    """Where each network's MACs are."""
    from sfic_bench.report.page.charts import layer_bars

    frame, left_out = overview.layers(files, MOST_LAYERED)
    if not len(frame):
        return
    columns = [Column(name=n) for n in ("network", "layer", "operation", "input", "output")]
    columns += [Column(name=n, number=True) for n in ("parameters", "MMac")]
    cells = [
        [r.row, r.layer, r.kind, r.input, r.output, f"{r.params:,}" if r.params else "",
         "no rule" if known(r.mmacs) is None else f"{r.mmacs:,.3f}"]
        for r in frame.itertuples(index=False)
    ]  # fmt: skip
    lead = "Where the MACs are (conv-linear), in the order of the forward pass."
    if left_out:
        lead += f" The first {MOST_LAYERED} networks; {left_out} more are in the file."
    drawn = frame[frame["mmacs"].fillna(0) > 0]
    yield Section(
        name="layers",
        title="Layers",
        lead=lead,
        tables=[Table(title="Every layer", columns=columns, rows=cells, folded=True)],
        charts={"MACs of each layer that has any": lambda: layer_bars(drawn)} if len(drawn) else {},
    )
