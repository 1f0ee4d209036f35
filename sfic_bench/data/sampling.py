"""Which frames of a video faces are taken from, and how they are made: what `sfic_bench.data.extract` can be asked.

Source: the paper's protocol: of FaceForensics++ 50 frames of a real video and 16 of a fake, at an interval of 2; DFDC 35 at 2
and 5 at 10; Celeb-DF 100 and 16 at 2; images of 256×256.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sfic_bench.data.importers import KINDS, kind_named
from sfic_bench.errors import InvalidValue, UnknownName


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """Which frames of a video: of every ``interval``-th, ``count``, evenly spaced over the whole video.

    With ``first``, the first ``count`` of them instead, as the paper may also be read; on a video of 20 s at 25 frames/s,
    2 × 50 are its first 4 s.

    Raises:
        InvalidValue: if either is below 1.
    """

    interval: int
    count: int
    first: bool = False

    def __post_init__(self) -> None:
        if self.interval < 1 or self.count < 1:
            raise InvalidValue(
                f"expected an interval and a count of at least 1, got {self.interval} and {self.count}"
            )

    def indices(self, frames: int) -> tuple[int, ...]:
        """Of a video with that many frames, from 0; all that there are if they are too few."""
        steps = len(range(0, frames, self.interval))
        if self.first or steps <= self.count:
            return tuple(range(0, frames, self.interval))[: self.count]
        # The middle of each of `count` equal parts.
        return tuple(self.interval * ((2 * i + 1) * steps // (2 * self.count)) for i in range(self.count))


SAMPLING: Mapping[str, tuple[Sampling, Sampling]] = {
    "ffpp": (Sampling(interval=2, count=50), Sampling(interval=2, count=16)),
    "dfdc": (Sampling(interval=2, count=35), Sampling(interval=10, count=5)),
    "celebdf": (Sampling(interval=2, count=100), Sampling(interval=2, count=16)),
    # The paper has none for this one: FaceForensics++'s for fakes, on both, so that the classes are alike.
    "folder": (Sampling(interval=2, count=16), Sampling(interval=2, count=16)),
}
"""Of real and of fake videos, by kind: the paper's, interval × count."""

FORMATS = {"png": ".png", "jpeg": ".jpg"}

ENLARGE = 1.0
"""Of the detector's box: the paper's crops have no background. FaceForensics++'s own crops are 1.3 times as wide."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How faces are made.

    Attributes:
        kind: of the data set; see `sfic_bench.data.importers.KINDS`.
        real: which frames of real videos; the paper's if not given.
        fake: which frames of fakes; the paper's if not given.
        size: height and width of an image, pixels.
        enlarge: how many times as wide as the detector's box the crop is.
        upsample: how often a frame is doubled before the search; 1 finds faces from 40 pixels on.
        format: ``png``, or ``jpeg`` of quality 95.

    Raises:
        UnknownName, InvalidValue: for what cannot be.
    """

    kind: str
    real: Sampling | None = None
    fake: Sampling | None = None
    size: int = 256
    enlarge: float = ENLARGE
    upsample: int = 1
    format: str = "png"

    def __post_init__(self) -> None:
        if kind_named(self.kind).videos is None:
            having = ", ".join(name for name, kind in KINDS.items() if kind.videos)
            raise InvalidValue(f"{self.kind} has no videos to take faces out of; expected one of {having}")
        if self.format not in FORMATS:
            raise UnknownName("image format", self.format, FORMATS)
        for name, value, low, high in (
            ("size", self.size, 16, 4096),
            ("enlarge", self.enlarge, 0.5, 4),
            ("upsample", self.upsample, 0, 3),
        ):
            if not low <= value <= high:
                raise InvalidValue(f"{name} must be from {low} to {high}, got {value}")
        real, fake = SAMPLING[self.kind]
        object.__setattr__(self, "real", self.real or real)
        object.__setattr__(self, "fake", self.fake or fake)

    def sampling(self, label: int) -> Sampling:
        found = self.fake if label else self.real
        assert found is not None
        return found
