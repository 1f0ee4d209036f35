"""Accuracy of networks by a protocol, as ``accuracy`` writes it."""

from typing import Annotated

from msgspec import Meta

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Key, Name, NetworkRow, Size, Value
from sfic_bench.results.shown import Shown
from sfic_bench.statistics.interval import Interval

Percent = Annotated[float, Meta(ge=0, le=100)]


class AccuracyRow(NetworkRow, frozen=True, kw_only=True, omit_defaults=True):
    """One network in one experiment; scores are means over seeds, as shares.

    Attributes:
        seeds: number of runs, which differ only in their seed.
        frame_auc, frame_bacc: AUC and balanced accuracy per image; ``None`` where the images are of one class.
        video_auc, video_bacc: the same per video, whose score is the mean of its images' scores.
        auc_over_vanilla, bacc_over_vanilla: the score less the vanilla network's on the same images.
        against: the backbone of that vanilla network, if it was chosen; otherwise it is the row's own.
        auc_printed, bacc_printed: the paper's figure in percent, if the data are the paper's.
    """

    train_on: Name
    test_on: Name
    seeds: Size
    frame_auc: Interval | None
    frame_bacc: Interval | None
    video_auc: Interval | None
    video_bacc: Interval | None
    auc_over_vanilla: Interval | None = None
    bacc_over_vanilla: Interval | None = None
    against: Name | None = None
    auc_printed: Percent | None = None
    bacc_printed: Percent | None = None

    @property
    def key(self) -> Key:
        return self.backbone, self.alpha, self.beta, f"{self.train_on} → {self.test_on}"

    def scores(self) -> dict[str, Interval | None]:
        """AUC and balanced accuracy, per image and per video."""
        return {
            "auc per image": self.frame_auc, "bacc per image": self.frame_bacc,
            "auc per video": self.video_auc, "bacc per video": self.video_bacc,
        }  # fmt: skip


class AccuracyResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/accuracy/2"):
    """Accuracy of networks by one protocol.

    Attributes:
        recipe: how all networks were trained, by field of `sfic_bench.training.recipe.Recipe`.
        seeds: the seeds of each network's runs.
    """

    environment: Environment
    protocol: str
    recipe: dict[str, Value]
    seeds: list[int]
    rows: list[AccuracyRow]
