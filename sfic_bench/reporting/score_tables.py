"""The scores of one trained network as tables."""

from collections.abc import Callable, Sequence

from sfic_bench.reporting.cells import bounds, estimate, number
from sfic_bench.reporting.columns import INTERVAL, Cells, interval_columns, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.scores import Level, Metrics, ReliabilityBin, ScoreGroup, ScoreRow, ScoresResult, Thresholds
from sfic_bench.statistics.interval import Interval

SCORE_COLUMNS: list[Cells[ScoreRow]] = [
    Cells("metric", lambda row: row.metric, number=False),
    Cells("per image", lambda row: estimate(row.frame, ".4f") or "one class"),
    Cells(INTERVAL, lambda row: bounds(row.frame, ".4f")),
    Cells("per video", lambda row: estimate(row.video, ".4f") or "one class"),
    Cells(INTERVAL, lambda row: bounds(row.video, ".4f")),
]

RESAMPLED = ("auc", "acc", "bacc", "f1")
"""The metrics whose intervals are computed."""

AtThreshold = tuple[str, float | None, dict[Level, Metrics]]
"""The name of a threshold, its value, and the scores at it."""


def score_tables(title: str, result: ScoresResult, *remarks: str) -> list[Table]:
    """All metrics; then, where the result has them, scores at each threshold and those of each part of the images."""
    tables = [scores_table(title, result, *remarks)]
    if result.at_thresholds and result.thresholds is not None:
        lines = [(rule.value, result.thresholds.values.get(rule), s) for rule, s in result.at_thresholds.items()]
        notes = [f"chosen on the run's {result.thresholds.images:,} validation images; more than a threshold is fake"]
        notes += [f"{rule.value}: {rule.description}" for rule in result.at_thresholds]
        tables.append(tabulated(f"At thresholds chosen on validation: {title}", THRESHOLD_COLUMNS, lines, notes=notes))
    if result.groups:
        note = "a method's fakes stand against all real images of the same data sets and compressions"
        notes = [note] if any(group.by == "method" for group in result.groups) else []
        tables.append(
            tabulated(f"By part of the images: {title}", GROUP_COLUMNS, result.groups, notes=notes, group_by=_by)
        )
    return tables


def scores_table(title: str, result: ScoresResult, *remarks: str) -> Table:
    """One row for each metric, with the scores per image and per video side by side."""
    notes = [
        "intervals resample videos, for auc, acc, bacc and f1 alone; acc, bacc, f1: accuracy, mean accuracy of both "
        "classes and F1 at 0.5; ece: expected calibration error; a video's score is the mean of its images' scores"
    ]
    if any(s is not None and s.low is None for r in result.rows if r.metric in RESAMPLED for s in r.scores().values()):
        notes.append("no interval: there are so few videos of a class that many resamples have none of it")
    return tabulated(title, SCORE_COLUMNS, result.rows, notes=[*notes, *remarks])


def thresholds_remark(thresholds: Thresholds) -> str:
    """The thresholds of a run in one line."""
    values = ", ".join(f"{rule} {number(value, '.4f') or 'none'}" for rule, value in thresholds.values.items())
    return f"thresholds chosen on {thresholds.images:,} validation images: {values}"


def reliability_table(title: str, bins: Sequence[ReliabilityBin]) -> Table:
    """One row for each range of the probability of fake."""
    return tabulated(title, RELIABILITY_COLUMNS, bins, folded=True)


def _at(level: Level, metric: str) -> Callable[[AtThreshold], Interval | None]:
    return lambda line: line[2].get(level, {}).get(metric)


def _of(level: Level, metric: str) -> Callable[[ScoreGroup], Interval | None]:
    return lambda group: group.scores.get(level, {}).get(metric)


def _by(group: ScoreGroup) -> str:
    return group.by


THRESHOLD_COLUMNS: list[Cells[AtThreshold]] = [
    Cells("threshold", lambda line: line[0], number=False),
    Cells("value", lambda line: number(line[1], ".4f")),
    *interval_columns("ACC %", _at("frame", "acc"), ".1f", scale=100),
    *interval_columns("F1 %", _at("frame", "f1"), ".1f", scale=100, rank=1),
    *interval_columns("FPR %", _at("frame", "fpr"), ".1f", scale=100),
    *interval_columns("TPR %", _at("frame", "tpr"), ".1f", scale=100),
    *interval_columns("ACC %\nper video", _at("video", "acc"), ".1f", scale=100, rank=2),
    *interval_columns("FPR %\nper video", _at("video", "fpr"), ".1f", scale=100, rank=2),
    *interval_columns("TPR %\nper video", _at("video", "tpr"), ".1f", scale=100, rank=2),
]

GROUP_COLUMNS: list[Cells[ScoreGroup]] = [
    Cells("by", lambda group: group.by, number=False),
    Cells("images of", lambda group: group.name, number=False),
    Cells("images", lambda group: f"{group.images:,}"),
    Cells("AUC %", lambda group: estimate(_of("frame", "auc")(group), ".1f", scale=100) or "one class"),
    Cells(INTERVAL, lambda group: bounds(_of("frame", "auc")(group), ".1f", scale=100)),
    *interval_columns("ACC %", _of("frame", "acc"), ".1f", scale=100),
    *interval_columns("BACC %", _of("frame", "bacc"), ".1f", scale=100, rank=3),
    Cells("EER %", lambda group: estimate(_of("frame", "eer")(group), ".1f", scale=100), rank=1),
    *interval_columns("AUC %\nper video", _of("video", "auc"), ".1f", scale=100, rank=2),
]

RELIABILITY_COLUMNS: list[Cells[ReliabilityBin]] = [
    Cells("probability of fake", lambda of: f"{of.low:.3f}–{of.high:.3f}", number=False),
    Cells("images", lambda of: f"{of.images:,}"),
    Cells("mean probability", lambda of: f"{of.mean:.4f}"),
    Cells("share of fakes", lambda of: f"{of.fakes:.4f}"),
]
