"""The settings of `sfic_bench.data.extract`: from which frames of a video faces are taken, and how they are cropped."""

from collections.abc import Mapping
from dataclasses import dataclass

from sfic_bench.data.choices import DatasetKind, ImageFormat
from sfic_bench.data.faces import FaceCrop
from sfic_bench.data.finders import DLIB, FinderSettings
from sfic_bench.data.importers import IMPORTERS
from sfic_bench.errors import InvalidValue, UnknownName, member


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """A choice of frames: every ``interval``-th frame is a candidate, and ``count`` of these are taken, evenly spaced.

    With ``first``, the first ``count`` candidates are taken instead, which is another reading of the paper: of a video
    of 20 s at 25 frames/s, 50 frames at an interval of 2 are the first 4 s.

    Raises:
        InvalidValue: if ``interval`` or ``count`` is below 1.
    """

    interval: int
    count: int
    first: bool = False

    def __post_init__(self) -> None:
        if self.interval < 1 or self.count < 1:
            raise InvalidValue(f"expected an interval and a count of at least 1, got {self.interval} and {self.count}")

    def indices(self, frames: int) -> tuple[int, ...]:
        """The chosen indices, from 0, of a video with this many ``frames``; all candidates if they are too few."""
        candidates = range(0, frames, self.interval)
        if self.first or len(candidates) <= self.count:
            return tuple(candidates[: self.count])
        # The middle of each of `count` equal parts.
        middles = ((2 * part + 1) * len(candidates) // (2 * self.count) for part in range(self.count))
        return tuple(candidates[middle] for middle in middles)


SAMPLING: Mapping[str, tuple[Sampling, Sampling]] = {
    DatasetKind.FFPP: (Sampling(interval=2, count=50), Sampling(interval=2, count=16)),
    DatasetKind.DFDC: (Sampling(interval=2, count=35), Sampling(interval=10, count=5)),
    DatasetKind.CELEBDF: (Sampling(interval=2, count=100), Sampling(interval=2, count=16)),
    # The paper has no plain folders. Both classes have the frames of FaceForensics++'s fakes, so that they are alike.
    DatasetKind.FOLDER: (Sampling(interval=2, count=16), Sampling(interval=2, count=16)),
}
"""The frames of real and of fake videos by kind of data set, as in the paper's protocol; any other has a folder's."""


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How faces are taken out of the videos of a data set.

    Attributes:
        real: which frames of real videos are used; the paper's if not given.
        fake: which frames of fakes are used; the paper's if not given.
        size: height and width of an image, pixels.
        enlarge: width of the crop over that of the detector's box. The paper's crops have no background;
            FaceForensics++'s own crops are 1.3 times as wide as the box.
        upsample: how often a frame is doubled before the search; the detector's default if not given.
        detector: `sfic_bench.data.finders.DLIB`, which is the paper's, or the path of an ONNX file.
        align: turn and move faces by their landmarks, see `sfic_bench.data.faces.FaceCrop`.

    Raises:
        UnknownName: for an unknown kind or format. The plain strings are understood too.
        InvalidValue: for a kind of data set without videos, or a number out of range.
    """

    kind: str
    real: Sampling | None = None
    fake: Sampling | None = None
    size: int = 256
    enlarge: float = 1.0
    upsample: int | None = None
    format: ImageFormat = ImageFormat.PNG
    detector: str = DLIB
    align: bool = False

    def __post_init__(self) -> None:
        if self.kind not in IMPORTERS:
            raise UnknownName("kind of data set", self.kind, IMPORTERS)
        object.__setattr__(self, "format", member(ImageFormat, self.format, "image format"))
        if IMPORTERS[self.kind].videos is None:
            raise InvalidValue(f"{self.kind} has no videos to take faces out of; expected one of {', '.join(SAMPLING)}")
        if not 16 <= self.size <= 4096:
            raise InvalidValue(f"size must be from 16 to 4096, got {self.size}")
        object.__setattr__(self, "upsample", self.finder.doublings)
        self.finder.check(self.crop)
        real, fake = SAMPLING.get(self.kind, SAMPLING[DatasetKind.FOLDER])
        object.__setattr__(self, "real", self.real or real)
        object.__setattr__(self, "fake", self.fake or fake)

    @property
    def finder(self) -> FinderSettings:
        """The detector, which has one thread, since one process runs on each core."""
        return FinderSettings(detector=self.detector, upsample=self.upsample, threads=1)

    @property
    def crop(self) -> FaceCrop:
        """How a face is cut out of a frame."""
        return FaceCrop(enlarge=self.enlarge, align=self.align, size=self.size)

    def sampling(self, label: int) -> Sampling:
        """The choice of frames of videos with this ``label``."""
        sampling = self.fake if label else self.real
        assert sampling is not None
        return sampling
