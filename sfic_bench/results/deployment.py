"""Trained networks on several runtimes, as ``deploy`` writes them: accuracy beside time."""

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NetworkRow, Positive, Size
from sfic_bench.results.shown import Shown
from sfic_bench.statistics.interval import Interval


class DeploymentRow(NetworkRow, frozen=True, kw_only=True, omit_defaults=True):
    """One network on one runtime; scores are means over seeds, as shares.

    Attributes:
        runtime: its name, such as ``onnxruntime-int8``.
        details: name and version of what runs the network, its device and number of threads.
        input_size: height and width of the images.
        file_bytes: bytes of the network's file; for torch, of its parameters and buffers.
        images: number of images that were scored.
        seeds: number of runs, which differ only in their seed.
        frame_auc: AUC per image.
        video_auc: AUC per video, whose score is the mean of its images' scores.
        auc_over_torch: the AUC per image less that of the same networks run by torch in float32, on the same images.
        samples_ms: raw milliseconds of each call with one batch.
        latency_ms: their median.
        ratio_to_torch: times over those of the same network run by torch, paired by round.
        ratio_to_vanilla: times over those of the vanilla network on the same runtime, paired by round.
    """

    runtime: Name
    details: str
    input_size: Size
    file_bytes: Count
    images: Size
    seeds: Size
    frame_auc: Interval | None
    video_auc: Interval | None
    auc_over_torch: Interval | None = None
    samples_ms: list[Positive] = []
    latency_ms: Interval | None = None
    ratio_to_torch: Interval | None = None
    ratio_to_vanilla: Interval | None = None

    @property
    def key(self) -> Key:
        return self.backbone, self.alpha, self.beta, self.runtime

    def scores(self) -> dict[str, Interval | None]:
        """The AUC per image and per video."""
        return {"auc per image": self.frame_auc, "auc per video": self.video_auc}


class DeploymentResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/deployment/1"):
    """Trained networks on several runtimes, scored on the same images and timed in the same rounds.

    Attributes:
        data, split: the manifest's name, and which of its images were scored.
        images: number of images of the split.
        calibration: number of images on which the scales of int8 were found.
        batch_size: number of images of a call that was timed.
        runs: the folders of the runs.
        unreadable: paths of images that could not be read.
        notes: what a reader must know.
    """

    environment: Environment
    data: Name
    split: Name
    images: Count
    calibration: Count
    batch_size: Size
    runs: list[str]
    unreadable: list[str]
    notes: list[str]
    rows: list[DeploymentRow]
