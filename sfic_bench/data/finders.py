"""The detectors that find faces: dlib's, which is the paper's, and networks from ONNX files.

Source: the paper crops with the face_recognition library, whose default is dlib's frontal face detector (King, JMLR
2009) on the image enlarged once.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sfic_bench.data.faces import Face, FaceCrop, NoLandmarks, largest_first, shrunk
from sfic_bench.data.images import Pixels
from sfic_bench.errors import InvalidValue, MissingDependency, UnknownName

DLIB = "dlib"
"""The name of dlib's detector; any other is an ONNX file's."""


class FaceFinder(Protocol):
    """A detector of faces."""

    def faces(self, image: Pixels) -> list[Face]:
        """The faces in ``image``, H×W×3 in RGB, the largest first."""
        ...


@dataclass(frozen=True, kw_only=True)
class FinderSettings:
    """Which detector finds faces, and how closely it looks.

    Attributes:
        detector: `DLIB`, or the path of an ONNX file.
        upsample: how often the picture is doubled before the search; dlib's default of 1 finds faces from 40 pixels on.
            A network's default is 0.
        longest: pictures with a longer side, pixels, are shrunk for the search; ``None`` for none. A network's
            pictures are always shrunk to the side that it is made for.
        threads: number of threads of a network; 0 for as many as cores. dlib has one.

    Raises:
        InvalidValue: for a number out of range.
    """

    detector: str = DLIB
    upsample: int | None = None
    longest: int | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        if self.upsample is not None and not 0 <= self.upsample <= 3:
            raise InvalidValue(f"upsample must be from 0 to 3, got {self.upsample}")

    def check(self, crop: FaceCrop) -> None:
        """Raise `NoLandmarks` if ``crop`` aligns faces and this detector finds no landmarks."""
        if crop.align and self.detector == DLIB:
            raise NoLandmarks(
                "dlib's detector finds no landmarks to align faces by: name a network's file with --detector FILE.onnx"
            )

    @property
    def doublings(self) -> int:
        """``upsample``, or the detector's default."""
        return (1 if self.detector == DLIB else 0) if self.upsample is None else self.upsample


@lru_cache(maxsize=1)
def finder(settings: FinderSettings) -> FaceFinder:
    """The detector that ``settings`` name; each process makes it once.

    Raises:
        MissingDependency: without dlib, or without ONNX Runtime for a file.
        UnknownName: for a name that is neither `DLIB` nor a file's.
        UnusableDetector: for a file that is no detector of a known family.
    """
    if settings.detector == DLIB:
        return DlibFinder(upsample=settings.doublings, longest=settings.longest)
    path = Path(settings.detector)
    if path.suffix.lower() != ".onnx" and not path.exists():
        raise UnknownName("detector", settings.detector, (DLIB, "FILE.onnx"))
    from sfic_bench.data.onnx_finders import OnnxFinder

    return OnnxFinder(path, upsample=settings.doublings, threads=settings.threads)


class DlibFinder:
    """dlib's frontal face detector, which slides a window over a pyramid of the image.

    Raises:
        MissingDependency: without dlib.
    """

    def __init__(self, upsample: int = 1, longest: int | None = None) -> None:
        self.upsample, self.longest = upsample, longest
        self._detector = _frontal_face_detector()

    def faces(self, image: Pixels) -> list[Face]:
        """See `FaceFinder.faces`."""
        image, scale = shrunk(image, self.longest)
        boxes, confidences, _ = self._detector.run(np.ascontiguousarray(image), self.upsample, 0.0)
        found = [
            Face(
                box=(b.left() * scale, b.top() * scale, (b.right() + 1) * scale, (b.bottom() + 1) * scale),
                confidence=float(confidence),
            )
            for b, confidence in zip(boxes, confidences, strict=True)
        ]
        return largest_first(found)


@lru_cache(maxsize=1)
def _frontal_face_detector() -> Any:
    try:
        import dlib
    except ImportError:
        raise MissingDependency("finding faces needs dlib: pip install 'sfic-bench[faces]'") from None
    return dlib.get_frontal_face_detector()
