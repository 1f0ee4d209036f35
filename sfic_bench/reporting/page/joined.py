"""The section that shows what several kinds of files say about a network in one row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar

import pandas as pd

from sfic_bench.reporting.cells import bounds, count, estimate
from sfic_bench.reporting.columns import INTERVAL, Cells, tabulated
from sfic_bench.reporting.cost_tables import DEFAULT, Counted
from sfic_bench.reporting.page.charts import pareto
from sfic_bench.reporting.page.section import Charts, Section
from sfic_bench.reporting.timed import Compared
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.units import format_ratio

Network = tuple[str, float | None, float | None]
"""Backbone, α and β."""

Line = TypeVar("Line", Counted, Compared, AccuracyRow)

FEW = 40
"""Rows up to which the section is not folded."""


@dataclass(frozen=True)
class Joined:
    """What is known about a network: its counts, its fastest path, and its accuracy."""

    network: Network
    cost: Counted | None
    time: Compared | None
    score: AccuracyRow | None


COLUMNS: tuple[Cells[Joined], ...] = (
    Cells("network", lambda line: line.network[0], number=False),
    Cells("α", lambda line: format_ratio(line.network[1]), always=True),
    Cells("β", lambda line: format_ratio(line.network[2]), always=True),
    Cells("counted on", lambda line: line.cost.input if line.cost else "", number=False),
    Cells("params M", lambda line: count(line.cost.row.params, "M") if line.cost else ""),
    Cells("paper GMac", lambda line: count(line.cost.row.macs.get("paper"), "G") if line.cost else ""),
    Cells(f"{DEFAULT} GMac", lambda line: count(line.cost.row.macs.get(DEFAULT), "G") if line.cost else ""),
    Cells("fastest path", lambda line: line.time.row.key[3] if line.time else "", number=False),
    Cells("ms", lambda line: estimate(line.time.row.latency_ms, ".1f") if line.time else ""),
    Cells(INTERVAL, lambda line: bounds(line.time.row.latency_ms, ".1f") if line.time else ""),
    Cells("peak MB", lambda line: count(line.time.peak_bytes, "M", 1) if line.time else ""),
    Cells("AUC %", lambda line: estimate(line.score.frame_auc, ".1f", scale=100) if line.score else ""),
    Cells(INTERVAL, lambda line: bounds(line.score.frame_auc, ".1f", scale=100) if line.score else ""),
    Cells("seeds", lambda line: str(line.score.seeds) if line.score else ""),
)


def side_by_side_section(costs: pd.DataFrame, times: pd.DataFrame, accuracies: pd.DataFrame) -> Iterator[Section]:
    """Networks of which at least two of cost, time and accuracy are known, a table for each setting and task."""
    counted: dict[Network, Counted] = _by_network(costs)
    timed: dict[str, dict[Network, Compared]] = _by_group(times, "setting", least="ms")
    scored: dict[str, dict[Network, AccuracyRow]] = _by_group(accuracies, "task")
    tables = []
    for setting, of_setting in _groups_with({*counted, *chain(*scored.values())}, timed).items():
        for task, of_task in _groups_with({*counted, *chain(*timed.values())}, scored).items():
            lines = [
                Joined(network, counted.get(network), of_setting.get(network), of_task.get(network))
                for network in dict.fromkeys([*counted, *of_setting, *of_task])
                if sum(network in part for part in (counted, of_setting, of_task)) > 1
            ]
            if lines:
                tables.append(tabulated("; ".join(filter(None, (setting, task))) or "Networks", COLUMNS, lines))
    if tables:
        yield Section(
            name="networks",
            title="Networks side by side",
            lead="One row for each network: what it costs, how long its fastest path takes, and how well it detects. "
            "The sections below show other paths and conventions, and the source of each figure.",
            tables=tables,
            charts=_accuracy_against_time(times, accuracies),
            first=sum(len(table.rows) for table in tables) <= FEW,
        )


def _accuracy_against_time(times: pd.DataFrame, accuracies: pd.DataFrame) -> Charts:
    """A chart for each setting of time that has several networks whose accuracy is known."""
    charts = {}
    network = ["backbone", "alpha", "beta"]
    if len(times) and len(accuracies):
        fastest = times.dropna(subset=["ms"]).sort_values("ms").drop_duplicates(["setting", *network])
        scores = accuracies.dropna(subset=["auc"]).drop(columns="line")
        for setting, rows in fastest.groupby("setting", sort=False):
            drawn = scores.merge(rows[[*network, "ms"]], on=network)
            if len(drawn) > 1:
                caption = f"AUC against time, {setting}; no point beats those on the dashed front in both"
                charts[caption] = partial(pareto, drawn, "ms", "auc", highest=True, choose="task")
    return charts


def _by_network(frame: pd.DataFrame) -> dict[Network, Line]:
    """The column ``line`` of each network's first row."""
    lines: dict[Network, Line] = {}
    for row in frame.itertuples(index=False):
        alpha, beta = (None if pd.isna(ratio) else ratio for ratio in (row.alpha, row.beta))
        lines.setdefault((row.backbone, alpha, beta), row.line)
    return lines


def _by_group(frame: pd.DataFrame, column: str, least: str | None = None) -> dict[str, dict[Network, Line]]:
    """Each network's first row for each value of ``column``, or its row with the ``least`` known value of another."""
    groups = frame.groupby(column, sort=False) if len(frame) else ()
    return {
        str(value): _by_network(rows if least is None else rows.dropna(subset=least).sort_values(least))
        for value, rows in groups
    }


def _groups_with(networks: set[Network], groups: Mapping[str, dict[Network, Line]]) -> dict[str, dict[Network, Line]]:
    """The ``groups`` that have any of ``networks``; a single empty group without a name if none has."""
    return {name: lines for name, lines in groups.items() if networks & lines.keys()} or {"": {}}
