"""Photographs and videos as they are: faces found, cut out as the training data were, and scored."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from msgspec import structs
from torch import Tensor

from sfic_bench.data.choices import CropStyle
from sfic_bench.data.faces import Face, FaceCrop, shrunk, steadied
from sfic_bench.data.finders import FaceFinder
from sfic_bench.data.images import Pixels, UnreadableImage, load_image
from sfic_bench.data.loader import resized
from sfic_bench.data.sampling import Sampling
from sfic_bench.data.sources import MediaFile, MediaKind
from sfic_bench.data.videos import UnreadableVideo, VideoFrame, frames, length
from sfic_bench.errors import InvalidValue, check_count
from sfic_bench.results.predictions import FaceBox, FakeOrReal, FrameScore, Prediction
from sfic_bench.statistics.series import mean_of_series
from sfic_bench.training.inference import TrainedNetwork

CROPS: Mapping[CropStyle, FaceCrop] = {
    CropStyle.PAPER: FaceCrop(),
    CropStyle.DEEPFAKEBENCH: FaceCrop(enlarge=1.3, align=True),
}
"""How the training data were cut out by whose protocol; both take 32 frames of a video here."""

CROP_SIDE = 512
"""A picture whose longer side is at most so long may be a face crop itself."""

MOST_FRAMES = 4096
"""The most frames of a video that are scored: the faces of all are in memory, 0.8 GB at 256×256 pixels."""

SHRUNK = 160
"""The longest side, pixels, of a frame without a face that is kept to be shown."""

FILLS = 0.6
"""A face's box over such a picture, from which on the picture is probably a crop of that face."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What was scored of one file.

    Attributes:
        rows: one a face, or the one of the photograph or video.
        inputs: what the network saw, bytes 3×S×S each: the faces of a photograph, or those of a video's frames.
        image: the photograph, upright, H×W×3; ``None`` for a video.
        faceless: the frames of a video without a face, shrunk, H×W×3 each.
    """

    rows: tuple[Prediction, ...]
    inputs: tuple[Tensor, ...]
    image: Pixels | None = None
    faceless: tuple[Pixels, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Scores photographs and videos with a trained network.

    Attributes:
        network: the network.
        finder: the detector of faces; ``None`` to score whole pictures.
        crop: how faces are cut out.
        frames: number of frames that are taken of a video, evenly spaced.
        threshold: the probability above which the verdict is fake.

    Raises:
        InvalidValue: for a number of frames out of range.
    """

    network: TrainedNetwork
    finder: FaceFinder | None
    crop: FaceCrop
    frames: int = 32
    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_count("the number of frames", self.frames)
        if self.frames > MOST_FRAMES:
            raise InvalidValue(f"the number of frames must be at most {MOST_FRAMES:,}, got {self.frames}")

    def scored(self, file: MediaFile) -> Scored:
        """The scores of ``file``; where something cannot be read or has no face, its row says so."""
        if file.problem:
            return self._without_score(file, file.problem)
        try:
            return self._video(file) if file.kind is MediaKind.VIDEO else self._photograph(file)
        except (UnreadableImage, UnreadableVideo) as error:
            return self._without_score(file, error.reason)

    def _photograph(self, file: MediaFile) -> Scored:
        image = load_image(file.path)
        if self.finder is None:
            inputs = [self._input(image)]
            (fake,) = self._scores(inputs)
            row = Prediction(path=str(file.path), kind="photograph", fake=fake, verdict=self.verdict(fake))
            return Scored(rows=(row,), inputs=tuple(inputs), image=image)
        found = self.finder.faces(image)
        if not found:
            remark = "no face found"
            if max(image.shape[:2]) <= CROP_SIDE:
                remark += "; if the picture is a face that was cut out, --whole-image scores it"
            return replace(self._without_score(file, remark), image=image)
        inputs = [self._input(self.crop.of(image, face)) for face in found]
        rows = tuple(
            Prediction(
                path=str(file.path), kind="face", fake=fake, verdict=self.verdict(fake), face=number,
                box=_box(face), confidence=face.confidence, remark=_remark_of(face, image),
            )
            for number, (face, fake) in enumerate(zip(found, self._scores(inputs), strict=True), start=1)
        )  # fmt: skip
        return Scored(rows=rows, inputs=tuple(inputs), image=image)

    def _video(self, file: MediaFile) -> Scored:
        all_frames = length(file.path)
        indices = Sampling(interval=1, count=self.frames).indices(all_frames.frames)
        taken = _Taken(all_frames.cut_off)
        curve, places, inputs, faceless = list[FrameScore](), list[int](), list[Tensor](), list[Pixels]()
        for frame, face in self._faces(taken.until_broken(file.path, indices)):
            if self.finder is None or face is not None:
                places.append(len(curve))
                inputs.append(self._input(frame.image if face is None else self.crop.of(frame.image, face)))
            else:
                faceless.append(shrunk(frame.image, SHRUNK)[0])
            curve.append(
                FrameScore(frame=frame.index, time_s=frame.time_s, fake=None, box=None if face is None else _box(face))
            )
        if not curve:
            return self._without_score(file, taken.problem or "no frame could be decoded")
        scores = self._scores(inputs)
        for place, fake in zip(places, scores, strict=True):
            curve[place] = structs.replace(curve[place], fake=fake)
        cut_off = taken.remark(len(curve), len(indices), all_frames.frames)
        remarks = [cut_off]
        if not scores:
            remarks.insert(0, f"no face in any of {len(curve)} frames")
        elif len(scores) < len(curve):
            remarks.insert(0, f"{len(curve) - len(scores)} of {len(curve)} frames have no face")
        row = Prediction(
            path=str(file.path), kind="video", fake=None, frames=len(scores), asked=len(indices), curve=curve,
            cut_off=bool(cut_off),
            remark="; ".join(filter(None, remarks)),
        )  # fmt: skip
        if scores:
            mean = mean_of_series(scores, 0, 1)
            row = structs.replace(
                row, fake=mean.estimate, low=mean.low, high=mean.high, verdict=self.verdict(mean.estimate)
            )
        return Scored(rows=(row,), inputs=tuple(inputs), faceless=tuple(faceless))

    def _faces(self, decoded: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, Face | None]]:
        """Each frame with its largest face, whose place is steadied; at most three frames are in memory."""
        window: deque[tuple[VideoFrame, Face | None]] = deque(maxlen=3)
        for frame in decoded:
            found = self.finder.faces(frame.image) if self.finder else []
            window.append((frame, found[0] if found else None))
            if len(window) >= 2:
                yield _steadied(window, len(window) - 2)
        if window:
            yield _steadied(window, len(window) - 1)

    def _input(self, image: Pixels) -> Tensor:
        """``image`` in the size of the network's input, bytes 3×S×S."""
        return torch.from_numpy(resized(image, self.network.recipe.input_size)).permute(2, 0, 1)

    def _scores(self, inputs: Sequence[Tensor]) -> list[float]:
        return self.network.probabilities(torch.stack(list(inputs))).tolist() if inputs else []

    def verdict(self, fake: float) -> FakeOrReal:
        """What the threshold makes of a probability."""
        return "fake" if fake > self.threshold else "real"

    def _without_score(self, file: MediaFile, remark: str) -> Scored:
        row = Prediction(path=str(file.path), kind=file.kind.value, fake=None, remark=remark)
        return Scored(rows=(row,), inputs=())


class _Taken:
    """Decodes the frames of a video as far as it goes, and remembers what stopped it."""

    def __init__(self, cut_off: str) -> None:
        self.cut_off, self.problem, self.last = cut_off, "", -1

    def until_broken(self, path: Path, indices: Sequence[int]) -> Iterator[VideoFrame]:
        """The frames with these ``indices`` that can be decoded."""
        try:
            for frame in frames(path, frozenset(indices)):
                self.last = frame.index
                yield frame
        except UnreadableVideo as error:
            self.problem = error.reason

    def remark(self, decoded: int, asked: int, length: int) -> str:
        """What a reader must know of a video of ``length`` frames; empty if all frames ``asked`` for are there."""
        if decoded == asked:
            return self.cut_off
        where = f"only {decoded} of {asked} frames could be decoded, the last is number {self.last + 1} of {length:,}"
        return f"{where}: {self.cut_off or 'the file is cut off or damaged'}"


def _steadied(window: Sequence[tuple[VideoFrame, Face | None]], place: int) -> tuple[VideoFrame, Face | None]:
    frame, face = window[place]
    neighbours = [other for i, (_, other) in enumerate(window) if abs(i - place) == 1]
    return frame, face and steadied(face, neighbours)


def _box(face: Face) -> FaceBox:
    left, top, right, bottom = (round(value) for value in face.box)
    return FaceBox(left=left, top=top, right=right, bottom=bottom)


def _remark_of(face: Face, image: Pixels) -> str:
    height, width = image.shape[:2]
    if max(height, width) > CROP_SIDE or face.area < FILLS * height * width:
        return ""
    return "the face fills the picture; if it was cut out for the network, --whole-image scores it as it is"
