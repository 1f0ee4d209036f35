"""The section on measured accuracy."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from sfic_bench.report.accuracy_tables import NOTE, accuracy_table
from sfic_bench.report.cells import bounds
from sfic_bench.report.page.section import Section

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec


def accuracy_section(accuracies: pd.DataFrame) -> Section:
    """What `sfic-bench accuracy` measured, and over MACs where those were counted."""
    from sfic_bench.report.page.charts import pareto

    lines = list(accuracies["line"])
    charts: dict[str, Callable[[], Spec]] = {}
    intervals = [bounds(line.frame_auc, scale=100) for line in lines]
    drawn = accuracies.drop(columns="line").assign(auc_interval=intervals)
    drawn = drawn[drawn["gmacs"].notna() & drawn["auc"].notna()]
    if len(drawn):
        charts["AUC against MACs; no point beats those on the dashed front in both"] = partial(
            pareto, drawn, "gmacs", "auc", highest=True, choose="task"
        )
    return Section(
        name="scores",
        title="Measured accuracy",
        lead="Means over seeds. MACs are those of one image at 256×256, in the paper's convention.",
        tables=[accuracy_table("Every experiment", lines, notes=[NOTE], folded=True)],
        charts=charts,
    )
