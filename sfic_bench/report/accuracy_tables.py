"""Accuracies and scores as tables: the same for a terminal and for a page."""

from collections.abc import Callable, Mapping, Sequence

from sfic_bench.report.cells import bounds, estimate, number
from sfic_bench.report.columns import Cells, tabulated
from sfic_bench.report.table import Table
from sfic_bench.results.accuracy import AccuracyResult, AccuracyRow
from sfic_bench.results.scores import Metrics
from sfic_bench.statistics.intervals import Interval
from sfic_bench.units import format_ratio


def _score(heading: str, value: Callable[[AccuracyRow], Interval | None]) -> list[Cells[AccuracyRow]]:
    """Two columns, in percent: a share and its interval."""
    return [
        Cells(heading, lambda row: estimate(value(row), scale=100)),
        Cells("95%", lambda row: bounds(value(row), scale=100)),
    ]


COLUMNS: tuple[Cells[AccuracyRow], ...] = (
    Cells("trained on", lambda row: row.train_on, number=False),
    Cells("tested on", lambda row: row.test_on, number=False),
    Cells("network", lambda row: row.backbone, number=False),
    Cells("α", lambda row: format_ratio(row.alpha), always=True),
    Cells("β", lambda row: format_ratio(row.beta), always=True),
    *_score("AUC %", lambda row: row.frame_auc),
    Cells("AUC − vanilla's", lambda row: estimate(row.auc_over_vanilla, "+.2f", scale=100)),
    Cells("95%", lambda row: bounds(row.auc_over_vanilla, "+.2f", scale=100, between=" to ")),
    *_score("BACC %", lambda row: row.frame_bacc),
    *_score("AUC % per video", lambda row: row.video_auc),
    Cells("AUC % printed", lambda row: number(row.auc_printed)),
    Cells("BACC % printed", lambda row: number(row.bacc_printed)),
    Cells("seeds", lambda row: str(row.seeds)),
)

NOTE = (
    "means over seeds; intervals resample runs and videos; AUC − vanilla's: on the same images and videos, positive is better than "
    "vanilla"
)


def accuracy_table(
    title: str, rows: Sequence[AccuracyRow], *, notes: Sequence[str] = (), folded: bool = False
) -> Table:
    """One line a network and experiment."""
    experiments = [(row.train_on, row.test_on) for row in rows]
    ends = frozenset(i - 1 for i in range(1, len(rows)) if experiments[i] != experiments[i - 1])
    return tabulated(title, COLUMNS, rows, notes=notes, sections=ends, folded=folded)


def protocol_table(result: AccuracyResult) -> Table:
    """What ``accuracy`` prints."""
    recipe = result.recipe
    notes = [
        f"{recipe['epochs']} epochs, {recipe['input_size']}×{recipe['input_size']}, batch {recipe['batch_size']}, learning rate "
        f"{recipe['learning_rate']:g} × {recipe['decay']:g} each epoch; seeds {', '.join(map(str, result.seeds))}",
        NOTE,
    ]
    if any(row.auc_printed is not None for row in result.rows):
        notes.append("printed: the paper's, without intervals; its FF++ is split image by image, which leaks")
    else:
        notes.append("not the paper's data: no printed figure can stand beside these")
    return accuracy_table(f"Protocol {result.protocol}", result.rows, notes=notes)


def scores_table(title: str, scores: Mapping[str, Metrics], *remarks: str) -> Table:
    """One line a metric; per image and per video side by side."""
    columns: list[Cells[str]] = [Cells("metric", str, number=False)]
    for level, metrics in scores.items():
        columns += [Cells(f"per {level}", _metric(metrics)), Cells("95%", _metric_bounds(metrics))]
    note = "auc, bacc: intervals resample videos; bacc: mean accuracy of both classes at 0.5; a video's score is its images' mean"
    return tabulated(title, columns, list(next(iter(scores.values()))), notes=[note, *remarks])


def _metric(metrics: Metrics) -> Callable[[str], str]:
    return lambda name: estimate(metrics[name], ".4f") or "one class"


def _metric_bounds(metrics: Metrics) -> Callable[[str], str]:
    return lambda name: bounds(metrics[name], ".4f")
