"""Scores of one trained network, as ``train`` and ``evaluate`` write them."""

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfic_bench.choices import ThresholdRule
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, Size
from sfic_bench.results.shown import Shown
from sfic_bench.statistics.interval import Interval

Share = Annotated[float, Meta(ge=0, le=1)]

Metrics = dict[str, Interval | None]
"""Scores by the metric's name; ``None`` for a score that is not defined, such as the AUC of one class."""

Level = Literal["frame", "video"]
"""Whether each image has a score, or each video, whose score is the mean of its images' scores."""


class Thresholds(Struct, frozen=True, kw_only=True):
    """Thresholds of the probability of fake; an image that has more than a threshold is called fake.

    Attributes:
        images: number of validation images by which they were chosen.
        values: a threshold by each rule; ``None`` where the validation images are of one class.
    """

    images: Count
    values: dict[ThresholdRule, Share | None]


class Trained(Struct, frozen=True, kw_only=True):
    """The scores of a finished run on its test split.

    Attributes:
        epochs: number of epochs that were trained.
        kept_epoch: the epoch whose weights are kept and scored, since it had the highest AUC on the validation split;
            ``None`` if they are the last epoch's.
        images: number of images that were scored.
        unreadable: paths of images that could not be read.
        scores: metrics by level.
        thresholds: chosen on the validation split; ``None`` without one, and in runs of older versions.
    """

    epochs: Count
    images: Count
    unreadable: list[str]
    scores: dict[Level, Metrics]
    kept_epoch: Count | None = None
    thresholds: Thresholds | None = None


class EpochRow(Struct, frozen=True, kw_only=True):
    """One epoch of a training, which is one line of a run's ``metrics.jsonl``.

    Attributes:
        epoch: counted from 1.
        loss: mean loss over the epoch.
        images_per_s: images per second, over all devices.
        loader_images_per_s: images per second that are decoded without any training; ``None`` if not measured.
        val: metrics of the validation split, without intervals.
    """

    epoch: Count
    loss: float
    images_per_s: float
    loader_images_per_s: float | None
    val: dict[str, float | None]


class ScoreRow(Struct, frozen=True, kw_only=True):
    """One metric, per image and per video; ``None`` for a score that is not defined.

    Attributes:
        by, group: a column of the manifest and the value that the images have in it, or ``"threshold"`` and its rule;
            empty for all images at once.
    """

    by: str = ""
    group: str = ""
    metric: str
    frame: Interval | None
    video: Interval | None

    @property
    def key(self) -> Key:
        return self.metric, None, None, f"{self.by} {self.group}".strip()

    def scores(self) -> dict[str, Interval | None]:
        """The metric per image and per video."""
        return {"per image": self.frame, "per video": self.video}


class ScoreGroup(Struct, frozen=True, kw_only=True):
    """The scores of some of the images, which have the same value in a column of the manifest.

    Attributes:
        by, name: the column and the value. The fakes of a method stand against all real images of the same data sets
            and compressions.
    """

    by: Literal["dataset", "compression", "method"]
    name: Name
    images: Count
    scores: dict[Level, Metrics]


class ReliabilityBin(Struct, frozen=True, kw_only=True):
    """The images whose probability of fake lies in one of several ranges of equal width.

    Attributes:
        low, high: the range; a probability of ``high`` belongs to the next one, except in the last.
        images: number of images, at least 1.
        mean: mean of their probabilities.
        fakes: share of fakes among them, which equals ``mean`` for calibrated probabilities.
    """

    low: Share
    high: Share
    images: Size
    mean: Share
    fakes: Share


class ScoresResult(Shown, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="sfic-bench/scores/2"):
    """Scores of one trained network on one split.

    Attributes:
        network: the network, such as ``resnet26 α=0.5 β=1``.
        run: the run's folder.
        data: the manifest's name.
        epochs: number of epochs that the network was trained for.
        kept_epoch, images, unreadable, scores, thresholds: see `Trained`.
        at_thresholds: accuracy, F1, FPR and TPR at each of the thresholds, by level.
        groups: scores of each method, compression and data set, where the images have several.
        reliability: ranges of the probability of fake, without empty ones; per image.
    """

    environment: Environment
    run: str
    data: Name
    split: Name
    images: Count
    unreadable: list[str]
    scores: dict[Level, Metrics]
    network: Name = ""
    epochs: Count | None = None
    kept_epoch: Count | None = None
    thresholds: Thresholds | None = None
    at_thresholds: dict[ThresholdRule, dict[Level, Metrics]] = {}
    groups: list[ScoreGroup] = []
    reliability: list[ReliabilityBin] = []

    @property
    def rows(self) -> list[ScoreRow]:
        """One row for each metric of all images."""
        return _rows(self.scores)

    @property
    def lines(self) -> list[ScoreRow]:
        """The `rows`, followed by those of each threshold and of each group."""
        at_thresholds = (_rows(scores, "threshold", rule.value) for rule, scores in self.at_thresholds.items())
        groups = (_rows(group.scores, group.by, group.name) for group in self.groups)
        return [*self.rows, *chain.from_iterable(at_thresholds), *chain.from_iterable(groups)]


def _rows(scores: Mapping[Level, Metrics], by: str = "", group: str = "") -> list[ScoreRow]:
    frame, video = scores.get("frame", {}), scores.get("video", {})
    names = dict.fromkeys([*frame, *video])
    return [ScoreRow(by=by, group=group, metric=m, frame=frame.get(m), video=video.get(m)) for m in names]
