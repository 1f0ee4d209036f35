"""Scores on corrupted images as tables, one for each corruption: a column for each severity."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sfic_bench.reporting.cells import bounds, estimate
from sfic_bench.reporting.columns import INTERVAL, Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.robustness import CLEAN, CorruptionScale, RobustnessResult, RobustnessRow
from sfic_bench.statistics.interval import Interval

NOTE = (
    "a video's score is the mean of its images' scores; − vanilla's: the AUC per image less vanilla's on the same "
    "pixels, positive is better; intervals resample runs and videos"
)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One score of one network, by severity; that of clean images is ``None``."""

    network: str
    score: str
    points: Mapping[float | None, Interval | None]
    is_difference: bool = False

    def estimate(self, severity: float | None) -> str:
        """The score in percent; ``""`` if it is not known."""
        return estimate(self.points.get(severity), "+.1f" if self.is_difference else ".1f", scale=100)

    def bounds(self, severity: float | None) -> str:
        """The bounds of its interval."""
        digits, between = ("+.1f", " to ") if self.is_difference else (".1f", "–")
        return bounds(self.points.get(severity), digits, scale=100, between=between)


def robustness_tables(result: RobustnessResult, *remarks: str) -> list[Table]:
    """A table for each corruption, and the notes under the last."""
    return [
        tabulated(
            f"{scale.title}: AUC % by {scale.unit}",
            _columns(scale.severities),
            list(_curves(result.rows, scale)),
            group_by=lambda curve: curve.network,
            notes=[*_notes(result), *remarks] if scale is result.corruptions[-1] else (),
        )
        for scale in result.corruptions
    ]


def _notes(result: RobustnessResult) -> list[str]:
    sizes = {row.images for row in result.rows}
    images = f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,} to {max(sizes):,}" if sizes else "no"
    seeds = {row.seeds for row in result.rows}
    runs = "" if seeds <= {1} else f"; means over {' or '.join(map(str, sorted(seeds)))} seeds"
    return [f"{result.data}, {result.split}: {images} images{runs}", NOTE, *result.notes]


def _columns(severities: Sequence[float]) -> list[Cells[Curve]]:
    """Network, score, clean images and each severity; of many, every second gives way first where it is narrow."""
    columns: list[Cells[Curve]] = [
        Cells("network", lambda curve: curve.network, number=False),
        Cells("score", lambda curve: curve.score, number=False),
    ]
    for i, severity in enumerate((None, *severities)):
        heading = CLEAN if severity is None else f"{severity:g}"
        rank = 1 if i % 2 == 0 and 0 < i < len(severities) else 0
        columns += [
            Cells(heading, partial(Curve.estimate, severity=severity), rank=rank, always=True),
            Cells(INTERVAL, partial(Curve.bounds, severity=severity), rank=2),
        ]
    return columns


def _curves(rows: Sequence[RobustnessRow], scale: CorruptionScale) -> Iterator[Curve]:
    of_network: dict[str, list[RobustnessRow]] = {}
    for row in rows:
        if row.corruption in (CLEAN, scale.name):
            of_network.setdefault(row.network, []).append(row)
    for network, own in of_network.items():
        yield Curve(network=network, score="per image", points={row.severity: row.frame_auc for row in own})
        yield Curve(network=network, score="per video", points={row.severity: row.video_auc for row in own})
        if any(row.auc_over_vanilla for row in own):
            over = {row.severity: row.auc_over_vanilla for row in own}
            yield Curve(network=network, score="− vanilla's", points=over, is_difference=True)
