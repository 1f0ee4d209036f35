"""Photographs and videos scored by one trained network, as ``predict`` writes them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Size
from sfic_bench.results.shown import Shown

Probability = Annotated[float, Meta(ge=0, le=1)]

FakeOrReal = Literal["fake", "real"]


class FaceBox(Struct, frozen=True, kw_only=True):
    """A face's box as the detector gives it, in pixels of the upright picture; the last two are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


class FrameScore(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The largest face of one frame of a video.

    Attributes:
        frame: the frame's number in the video, from 0.
        time_s: when it is shown, seconds after the start; ``None`` if the file does not say.
        fake: the probability that it is fake; ``None`` if the frame has no face.
        box: the face's box, steadied over neighbouring frames.
    """

    frame: Count
    time_s: float | None
    fake: Probability | None
    box: FaceBox | None = None


class FrameRow(FrameScore, frozen=True, kw_only=True, omit_defaults=True):
    """A `FrameScore` on its own, with the video's path, as a line of CSV."""

    path: str
    kind: Literal["frame"] = "frame"


class Prediction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One face of a photograph, a whole photograph, or a video.

    Attributes:
        path: the file.
        kind: what has the score: a face, or the whole photograph or video, which also stand for files without a score.
        fake: the probability of fake, which for a video is the mean of its frames'; ``None`` without a score.
        verdict: fake if ``fake`` is above the threshold, else real.
        remark: why there is no score, or what a reader must know about it.
        face: the number of a face of a photograph, from 1 for the largest.
        box: see `FaceBox`.
        confidence: the detector's, of a face.
        low, high: the interval of a video's mean, see `sfic_bench.statistics.series`.
        frames: number of frames of a video with a score.
        cut_off: whether a video could be decoded only in part, or ends before the time that its header gives.
        asked: number of frames that were to be scored.
        curve: a video's frames that were decoded, in order.
    """

    path: str
    kind: Literal["face", "photograph", "video"]
    fake: Probability | None
    verdict: FakeOrReal | None = None
    remark: str = ""
    face: Size | None = None
    box: FaceBox | None = None
    confidence: float | None = None
    low: Probability | None = None
    high: Probability | None = None
    frames: Count | None = None
    asked: Size | None = None
    cut_off: bool = False
    curve: list[FrameScore] = []


class PredictionsResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/predictions/2"):
    """Photographs and videos scored by the network of a run.

    Attributes:
        run: the run's folder.
        threshold: the probability above which a verdict is fake.
        threshold_name: the rule that chose the threshold, or its number.
        detector: what found the faces; ``None`` if whole pictures were scored.
        enlarge: width of a crop over that of the detector's box.
        align: whether faces were aligned by their landmarks.
        frames: number of frames that were to be taken of a video.
    """

    environment: Environment
    run: str
    threshold: Probability
    threshold_name: str
    detector: str | None
    enlarge: float
    align: bool
    frames: Size
    rows: list[Prediction]
