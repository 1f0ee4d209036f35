"""The section on measured accuracy."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sfic_bench.report import overview
from sfic_bench.report.page.section import Section, interval, known, text
from sfic_bench.report.records import Records
from sfic_bench.report.table import Column, Table
from sfic_bench.units import format_ratio

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec


def accuracy_section(files: Sequence[Records]) -> Iterator[Section]:
    """What `sfic-bench accuracy` found, and over MACs where those were counted."""
    from sfic_bench.report.page.charts import pareto

    frame = overview.accuracies(files)
    if not len(frame):
        return
    names = (
        "AUC %",
        "95%",
        "− vanilla",
        "95%",
        "BACC %",
        "95%",
        "AUC % per video",
        "95%",
        "AUC % printed",
        "seeds",
    )
    columns = [Column(name=n) for n in ("trained → tested on", "network")]
    columns += [Column(name=n, number=True) for n in ("α", "β", *names)]
    rows = [
        [
            r.task, r.backbone, format_ratio(known(r.alpha)), format_ratio(known(r.beta)),
            text(r.auc, ".2f"), interval(r.auc_low, r.auc_high, ".2f"),
            text(r.gain, "+.2f"), interval(r.gain_low, r.gain_high, "+.2f").replace("–", " to "),
            text(r.bacc, ".2f"), interval(r.bacc_low, r.bacc_high, ".2f"),
            text(r.video_auc, ".2f"), interval(r.video_auc_low, r.video_auc_high, ".2f"),
            text(r.printed, ".2f"), str(r.seeds),
        ]
        for r in frame.itertuples(index=False)
    ]  # fmt: skip
    charts: dict[str, Callable[[], Spec]] = {}
    drawn = frame[frame["gmacs"].notna() & frame["auc"].notna()]
    if len(drawn):
        drawn = drawn.assign(
            auc_interval=[
                interval(a, b, ".2f") for a, b in zip(drawn["auc_low"], drawn["auc_high"], strict=True)
            ]
        )
        charts["AUC against MACs; no point beats those on the dashed front in both"] = partial(
            pareto, drawn, "gmacs", "auc", highest=True, choose="task"
        )
    yield Section(
        name="scores",
        title="Measured accuracy",
        lead="Means over seeds. Intervals resample runs and videos; − vanilla compares on the same images. MACs are those of one "
        "image at 256×256, in the paper's convention.",
        tables=[Table(title="Every experiment", columns=columns, rows=rows, folded=True)],
        charts=charts,
    )
