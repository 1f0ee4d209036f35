"""Scores of networks on corrupted images, as ``robustness`` writes them."""

from typing import Annotated

from msgspec import Meta, Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NetworkRow, Size
from sfic_bench.results.shown import Shown
from sfic_bench.statistics.interval import Interval

CLEAN = "clean"
"""What the images are called that nothing was done to."""


class CorruptionScale(Struct, frozen=True, kw_only=True):
    """One kind of damage, and how its severities are shown.

    Attributes:
        name, title: its name in rows, and in a heading.
        unit: what a severity is.
        untouched: the severity at which an image stays as it is; ``None`` where there is none.
        severities: what was asked for, in the order in which they are shown.
    """

    name: Name
    title: Name
    unit: Name
    untouched: float | None
    severities: Annotated[list[float], Meta(min_length=1)]


class RobustnessRow(NetworkRow, frozen=True, kw_only=True, omit_defaults=True):
    """One network on images that are corrupted in one way; scores are means over seeds, as shares.

    Attributes:
        corruption: its name, or ``clean`` for the images as they are.
        severity, unit: how strong it is, and in what it is given; none for clean images.
        images: number of images that were scored.
        seeds: number of runs, which differ only in their seed.
        frame_auc: AUC per image; ``None`` where the images are of one class.
        video_auc: AUC per video, whose score is the mean of its images' scores.
        auc_over_vanilla: the AUC per image less the vanilla network's on the same pixels.
    """

    corruption: Name
    severity: float | None
    unit: str
    images: Size
    seeds: Size
    frame_auc: Interval | None
    video_auc: Interval | None
    auc_over_vanilla: Interval | None = None

    @property
    def key(self) -> Key:
        severity = "" if self.severity is None else f" {self.severity:g}"
        return self.backbone, self.alpha, self.beta, f"{self.corruption}{severity}"

    def scores(self) -> dict[str, Interval | None]:
        """The AUC per image and per video."""
        return {"auc per image": self.frame_auc, "auc per video": self.video_auc}


class RobustnessResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/robustness/1"):
    """Scores of networks on the same images, each corrupted in several ways.

    Attributes:
        data, split: the manifest's name, and which of its images were scored.
        images: number of images of the split.
        runs: the folders of the runs.
        unreadable: paths of images that could not be read or corrupted.
        notes: what was left out, and what a reader must know.
        corruptions: those that were measured.
    """

    environment: Environment
    data: Name
    split: Name
    images: Count
    runs: list[str]
    unreadable: list[str]
    notes: list[str]
    corruptions: list[CorruptionScale]
    rows: list[RobustnessRow]
