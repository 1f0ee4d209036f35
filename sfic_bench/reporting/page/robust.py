"""The sections on corrupted images: curves of the AUC against severity, and differences from vanilla."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pandas as pd

from sfic_bench.reporting.cells import bounds
from sfic_bench.reporting.overview import interval_values
from sfic_bench.reporting.page.charts import curves, differences
from sfic_bench.reporting.page.section import Section, Spec
from sfic_bench.reporting.robustness_tables import robustness_tables
from sfic_bench.results.read import ResultFile
from sfic_bench.results.robustness import CLEAN, CorruptionScale, RobustnessResult, RobustnessRow


def robustness_sections(files: Sequence[ResultFile]) -> Iterator[Section]:
    """The curves of each file of ``robustness``: a chart and a table for each corruption."""
    for i, result in enumerate((result for file in files if (result := file.robustness) is not None), 1):
        yield Section(
            name=f"robustness-{i}",
            title=f"Robustness: {result.data}, {result.split}",
            lead="AUC per image against severity. Bands are 95% intervals, which resample videos and runs; dashed is "
            "the score of the images as they are. All networks saw the same pixels, so that a difference may be "
            "certain although bands overlap: differences have intervals of their own.",
            tables=robustness_tables(result),
            charts=_charts(result),
        )


def robustness_verdict(files: Sequence[ResultFile]) -> Iterator[list[str]]:
    """How often SFIC networks are surely above or below vanilla on corrupted images; nothing if none was compared."""
    rows = [row for file in files if file.robustness is not None for row in file.robustness.rows]
    over = [row.auc_over_vanilla for row in rows if row.auc_over_vanilla is not None]
    if over:
        above = sum(interval.is_above(0) for interval in over)
        below = sum(interval.high is not None and interval.high < 0 for interval in over)
        finding = (
            f"the AUC of SFIC networks is above vanilla's for sure in {above} of {len(over)} comparisons on the same "
            f"pixels, and below in {below}"
        )
        yield ["look" if below else "ok", "robustness", finding]


def _charts(result: RobustnessResult) -> dict[str, Callable[[], Spec]]:
    """The makers of charts by caption; the curves have one axis of AUC, so that corruptions can be compared."""
    points = {scale.title: (scale, _points(result.rows, scale)) for scale in result.corruptions}
    shown = {title: (scale, frame) for title, (scale, frame) in points.items() if len(frame)}
    charts: dict[str, Callable[[], Spec]] = {}
    if shown:
        values = pd.concat([frame[["auc", "auc_low", "auc_high"]] for _, frame in shown.values()]).to_numpy(float)
        least, most = float(pd.Series(values.ravel()).min()), float(pd.Series(values.ravel()).max())
        for title, (scale, frame) in shown.items():
            charts[f"{title}: AUC against {scale.unit}"] = partial(curves, frame, scale.unit, least, most)
    if len(over := _differences(result.rows)):
        charts["AUC less vanilla's on the same pixels, with 95% intervals"] = partial(differences, over)
    return charts


def _points(rows: Sequence[RobustnessRow], scale: CorruptionScale) -> pd.DataFrame:
    """A row for each network and severity; clean images stand where the corruption leaves an image as it is."""
    clean = {row.network: row.frame_auc.estimate for row in rows if row.corruption == CLEAN and row.frame_auc}
    placed = [
        (scale.untouched if row.corruption == CLEAN else row.severity, row)
        for row in rows
        if row.corruption in (CLEAN, scale.name)
    ]
    if all(row.corruption == CLEAN for _, row in placed):  # of an unfinished file
        return pd.DataFrame()
    frame = pd.DataFrame(
        {
            "row": row.network,
            "severity": severity,
            **interval_values("auc", row.frame_auc, 100),
            "auc_interval": bounds(row.frame_auc, scale=100),
            "over": 100 * row.auc_over_vanilla.estimate if row.auc_over_vanilla else None,
            "over_interval": bounds(row.auc_over_vanilla, "+.2f", scale=100, between=" to "),
            "clean": 100 * clean[row.network] if row.network in clean else None,
        }
        for severity, row in placed
        if severity is not None and row.frame_auc is not None
    )
    falls = scale.severities[0] > scale.severities[-1]
    return frame.sort_values("severity", ascending=not falls, kind="stable") if len(frame) else frame


def _differences(rows: Sequence[RobustnessRow]) -> pd.DataFrame:
    """A row for each network that has a vanilla one beside it, and each kind of images."""
    return pd.DataFrame(
        {
            "row": row.network,
            "images": row.key[3],
            "corruption": row.corruption,
            **interval_values("over", row.auc_over_vanilla, 100),
            "over_interval": bounds(row.auc_over_vanilla, "+.2f", scale=100, between=" to "),
        }
        for row in rows
        if row.auc_over_vanilla is not None
    )
