"""Scores of one trained network, as ``train``, ``evaluate`` and ``predict`` write them."""

from typing import Literal

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name
from sfic_bench.statistics.interval import Interval

Metrics = dict[str, Interval | None]
"""Scores by the metric's name; ``None`` for a score that is not defined, such as the AUC of one class."""

Level = Literal["frame", "video"]
"""Whether each image has a score, or each video, whose score is the mean of its images' scores."""


class Trained(Struct, frozen=True, kw_only=True):
    """The scores of a finished run on its test split.

    Attributes:
        epochs: number of epochs that were trained.
        kept_epoch: the epoch whose weights are kept and scored, since it had the highest AUC on the validation split;
            ``None`` if they are the last epoch's.
        images: number of images that were scored.
        unreadable: paths of images that could not be read.
        scores: metrics by level.
    """

    epochs: Count
    images: Count
    unreadable: list[str]
    scores: dict[Level, Metrics]
    kept_epoch: Count | None = None


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
    """One metric, per image and per video; ``None`` for a score that is not defined."""

    metric: str
    frame: Interval | None
    video: Interval | None

    @property
    def key(self) -> Key:
        return self.metric, None, None, ""

    def scores(self) -> dict[str, Interval | None]:
        """The metric per image and per video."""
        return {"per image": self.frame, "per video": self.video}


class ScoresResult(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="sfic-bench/scores/2"
):
    """Scores of one trained network on one split.

    Attributes:
        run: the run's folder.
        data: the manifest's name.
        epochs: number of epochs that the network was trained for.
        kept_epoch: see `Trained`.
        images, unreadable, scores: see `Trained`.
    """

    environment: Environment
    run: str
    data: Name
    split: Name
    images: Count
    unreadable: list[str]
    scores: dict[Level, Metrics]
    epochs: Count | None = None
    kept_epoch: Count | None = None

    @property
    def rows(self) -> list[ScoreRow]:
        """One row for each metric."""
        frame, video = self.scores.get("frame", {}), self.scores.get("video", {})
        return [ScoreRow(metric=name, frame=frame.get(name), video=video.get(name)) for name in {**frame, **video}]


class Prediction(Struct, frozen=True, kw_only=True):
    """The probability that an image is fake, or ``None`` and the ``reason`` why it could not be read."""

    path: str
    fake: float | None
    reason: str


class PredictionsResult(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/predictions/1"):
    """Single images scored by the network of a run."""

    run: str
    rows: list[Prediction]
