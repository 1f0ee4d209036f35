"""The detectors that find faces: dlib's, which is the paper's, and networks from ONNX files.

Source: the paper crops with the face_recognition library, whose default is dlib's frontal face detector (King, JMLR
2009) on the image enlarged once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sfic_bench.data.faces import Face, FaceCrop, NoLandmarks, Points, UnusableDetector, largest_first, shrunk
from sfic_bench.data.images import Pixels
from sfic_bench.errors import InvalidValue, MissingDependency, UnknownName, first_line
from sfic_bench.extras import install_command

DLIB = "dlib"
"""The name of dlib's detector; any other detector is a file."""

SHAPES = ".dat"
"""The ending of a shape predictor's file."""

POINTS = (37, 44, 30, 49, 55)
"""Of a shape predictor's 68 or 81 points, those that DeepfakeBench takes for eyes, nose and corners of the mouth."""


class FaceFinder(Protocol):
    """A detector of faces."""

    def faces(self, image: Pixels) -> list[Face]:
        """The faces in ``image``, H×W×3 in RGB, the largest first."""
        ...


@dataclass(frozen=True, kw_only=True)
class FinderSettings:
    """Which detector finds faces, and how closely it looks.

    Attributes:
        detector: `DLIB`; a shape predictor's file, which ends in ``.dat``, for dlib with landmarks; or an ONNX file.
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
                "dlib's detector alone finds no landmarks to align faces by: name a network's file with --detector "
                "FILE.onnx, or a shape predictor's with --detector FILE.dat"
            )

    @property
    def doublings(self) -> int:
        """``upsample``, or the detector's default."""
        default = 1 if self.detector == DLIB or Path(self.detector).suffix == SHAPES else 0
        return default if self.upsample is None else self.upsample


@lru_cache(maxsize=1)
def finder(settings: FinderSettings) -> FaceFinder:
    """The detector that ``settings`` name; each process makes it once.

    Raises:
        MissingDependency: without dlib, or without ONNX Runtime for a file.
        UnknownName: for a name that is neither `DLIB` nor a file's.
        UnusableDetector: for a file that is no detector of a known family, and no shape predictor.
    """
    if settings.detector == DLIB:
        return DlibFinder(upsample=settings.doublings, longest=settings.longest)
    path = Path(settings.detector)
    if path.suffix == SHAPES:
        return DlibFinder(upsample=settings.doublings, longest=settings.longest, shapes=path)
    if path.suffix.lower() != ".onnx" and not path.exists():
        raise UnknownName("detector", settings.detector, (DLIB, "FILE.onnx", "FILE.dat"))
    from sfic_bench.data.onnx_finders import OnnxFinder

    return OnnxFinder(path, upsample=settings.doublings, threads=settings.threads)


class DlibFinder:
    """dlib's frontal face detector, which slides a window over a pyramid of the image.

    Args:
        upsample, longest: see `FinderSettings`.
        shapes: the file of a shape predictor of 68 or 81 points, which finds landmarks (Kazemi & Sullivan, CVPR 2014).

    Raises:
        MissingDependency: without dlib.
        UnusableDetector: if ``shapes`` is no such file.
    """

    def __init__(self, upsample: int = 1, longest: int | None = None, shapes: Path | None = None) -> None:
        self.upsample, self.longest = upsample, longest
        self._detector = _frontal_face_detector()
        self._landmarks = None if shapes is None else _shape_predictor(shapes)

    def faces(self, image: Pixels) -> list[Face]:
        """See `FaceFinder.faces`."""
        image, scale = shrunk(image, self.longest)
        image = np.ascontiguousarray(image)
        boxes, confidences, _ = self._detector.run(image, self.upsample, 0.0)
        found = [
            Face(
                box=(b.left() * scale, b.top() * scale, (b.right() + 1) * scale, (b.bottom() + 1) * scale),
                confidence=float(confidence),
                landmarks=None if self._landmarks is None else self._landmarks(image, b) * scale,
            )
            for b, confidence in zip(boxes, confidences, strict=True)
        ]
        return largest_first(found)


@lru_cache(maxsize=1)
def _frontal_face_detector() -> Any:
    try:
        import dlib
    except ImportError:
        raise MissingDependency(f"finding faces needs dlib: {install_command('faces')}") from None
    return dlib.get_frontal_face_detector()


def _shape_predictor(path: Path) -> Callable[[Pixels, object], Points]:
    """What gives five landmarks, 5×2, of a face in an image, which dlib's detector has found."""
    import dlib

    if not path.is_file():
        raise UnusableDetector(f"cannot read the shape predictor {path}: there is no such file")
    try:
        predictor = dlib.shape_predictor(str(path))
        count = predictor(np.zeros((16, 16, 3), np.uint8), dlib.rectangle(0, 0, 15, 15)).num_parts
    except RuntimeError as error:
        raise UnusableDetector(f"{path} is no usable shape predictor: {first_line(error)}") from None
    if count not in (68, 81):
        raise UnusableDetector(f"{path} is a shape predictor of {count} points, expected one of 68 or 81")

    def landmarks(image: Pixels, box: object) -> Points:
        shape = predictor(image, box)
        return np.array([(shape.part(i).x, shape.part(i).y) for i in POINTS], dtype=float)

    return landmarks
