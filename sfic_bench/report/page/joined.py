"""The section that has what several kinds of files say of a network in one row."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from sfic_bench.report.cells import bounds, number
from sfic_bench.report.page.section import Section, known
from sfic_bench.report.table import Column, Table
from sfic_bench.units import format_count, format_ratio

Network = tuple[str, float | None, float | None]
"""Backbone, α and β."""

ByNetwork = Mapping[Network, Any]

FEW = 40
"""Rows up to which the section is not folded."""


def side_by_side_section(costs: pd.DataFrame, times: pd.DataFrame, scores: pd.DataFrame) -> Iterator[Section]:
    """Costs, the fastest path's time and memory, and accuracy, of networks of which at least two of the three are known."""
    of_costs, of_times, of_scores = _by_network(costs), _by_network(times), _by_network(scores)
    tables = [
        table
        for where, timed in _groups(times, "setting", {*of_costs, *of_scores}, least="ms")
        for task, scored in _groups(scores, "task", {*of_costs, *of_times})
        if (table := _table("; ".join(filter(None, (where, task))), of_costs, timed, scored))
    ]
    if tables:
        yield Section(
            name="networks",
            title="Networks side by side",
            lead="One row a network: what it costs, how long its fastest path takes, how well it detects. Other paths and "
            "conventions, and where each figure is from, are in the sections below.",
            tables=tables,
            first=sum(len(table.rows) for table in tables) <= FEW,
        )


def _groups(
    frame: pd.DataFrame, by: str, others: set[Network], least: str | None = None
) -> list[tuple[str, ByNetwork]]:
    """What may be in one table and has a network of ``others``; if there is nothing, one nameless group of nothing."""
    found = [(str(n), _by_network(rows, least)) for n, rows in (frame.groupby(by, sort=False) if len(frame) else ())]
    return [(n, rows) for n, rows in found if others & rows.keys()] or [("", {})]


def _by_network(frame: pd.DataFrame, least: str | None = None) -> ByNetwork:
    """Each network's first row, or that with the ``least`` of a column that must be known."""
    if least is not None and len(frame):
        frame = frame[frame[least].notna()].sort_values(least)
    found: dict[Network, Any] = {}
    for row in frame.itertuples(index=False):
        found.setdefault((row.backbone, known(row.alpha), known(row.beta)), row)
    return found


def _table(title: str, costs: ByNetwork, timed: ByNetwork, scored: ByNetwork) -> Table | None:
    parts = (costs, timed, scored)
    keys = [k for k in dict.fromkeys([*costs, *timed, *scored]) if sum(k in part for part in parts) > 1]
    if not keys:
        return None
    names = ["counted on", "params M", "paper GMac", "conv-linear GMac"] if costs else []
    names += ["fastest path", "ms", "95%", "peak MB"] if timed else []
    names += ["AUC %", "95%", "seeds"] if scored else []
    rows = []
    for backbone, alpha, beta in keys:
        cost, time, score = (part.get((backbone, alpha, beta)) for part in parts)
        cells = [backbone, format_ratio(alpha), format_ratio(beta)]
        if costs:
            cells += _cells(cost, input="")
            cells += ["" if cost is None else format_count(cost.params, "M")]
            cells += _cells(cost, paper=".2f", conv_linear=".2f")
        if timed:
            cells += [
                *_cells(time, path="", ms=".1f"),
                bounds(time and time.line.row.latency_ms, ".1f"),
                *_cells(time, peak_mb=".1f"),
            ]
        if scored:
            cells += [
                *_cells(score, auc=".1f"),
                bounds(score and score.line.frame_auc, ".1f", scale=100),
                *_cells(score, seeds=""),
            ]
        rows.append(cells)
    numbers = {
        "α",
        "β",
        "params M",
        "paper GMac",
        "conv-linear GMac",
        "ms",
        "95%",
        "peak MB",
        "AUC %",
        "seeds",
    }
    columns = [Column(name=n, number=n in numbers) for n in ("network", "α", "β", *names)]
    return Table(title=title or "Networks", columns=columns, rows=rows)


def _cells(row: Any, **digits: str) -> list[str]:
    """Columns of ``row``, blank where there is none."""
    return [number(known(getattr(row, name, None)), form) for name, form in digits.items()]
