"""A face in a picture: where it is, how it is cut out, and how its place is steadied from frame to frame."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfic_bench.data.choices import ImageFormat
from sfic_bench.data.images import Pixels
from sfic_bench.errors import InvalidValue, SficBenchError, check_count

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the upright picture; the last two are exclusive."""

Points = NDArray[np.float64]

TEMPLATE = np.array([(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)]) / 112
"""Where both eyes, the nose and both corners of the mouth lie in an aligned face, as shares of its side.

Source: Deng et al., "ArcFace", CVPR 2019, for crops of 112×112; DeepfakeBench aligns faces to the same points.
"""

SAME_FACE = 0.3
"""Two boxes are of one face, in neighbouring frames, if their intersection is at least this share of their union."""


class NoLandmarks(SficBenchError):
    """A face that is to be aligned, of a detector that finds no landmarks."""


class UnusableDetector(SficBenchError):
    """A file that finds no faces, or no landmarks, in a way that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """A face that a detector found.

    Attributes:
        box: it may reach outside the picture.
        confidence: as the detector gives it; only that of one detector can be compared.
        landmarks: left eye, right eye, nose, left and right corner of the mouth as seen, 5×2 (x, y).
    """

    box: Box
    confidence: float
    landmarks: Points | None = None

    @property
    def area(self) -> float:
        left, top, right, bottom = self.box
        return max(right - left, 0) * max(bottom - top, 0)


@dataclass(frozen=True, kw_only=True)
class FaceCrop:
    """How a face is cut out of a picture.

    Attributes:
        enlarge: width of the crop over that of the detector's box, or over that of an aligned face.
        align: turn and move the face so that its landmarks lie where `TEMPLATE` says.
        size: height and width of the crop, pixels.

    Raises:
        InvalidValue: for a number out of range.
    """

    enlarge: float = 1.0
    align: bool = False
    size: int = 256

    def __post_init__(self) -> None:
        if not 0.5 <= self.enlarge <= 4:
            raise InvalidValue(f"enlarge must be from 0.5 to 4, got {self.enlarge}")
        check_count("the size of a face", self.size)

    def of(self, image: Pixels, face: Face) -> Pixels:
        """The crop of ``face``, size × size × 3, from ``image``, H×W×3.

        Raises:
            NoLandmarks: if it is to be aligned and has no landmarks.
        """
        if not self.align:
            return cut(image, face.box, enlarge=self.enlarge, size=self.size)
        if face.landmarks is None:
            raise NoLandmarks("this detector finds no landmarks to align faces by: name another with --detector")
        return aligned(image, face.landmarks, enlarge=self.enlarge, size=self.size)


def shrunk(image: Pixels, longest: int | None) -> tuple[Pixels, float]:
    """``image`` with no side above ``longest``, and by how much lengths in it are multiplied to be in ``image``'s."""
    from PIL import Image

    height, width = image.shape[:2]
    if longest is None or max(height, width) <= longest:
        return image, 1.0
    scale = max(height, width) / longest
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)), scale


def largest_first(found: Sequence[Face]) -> list[Face]:
    """Faces in order of size, the largest first."""
    return sorted(found, key=lambda face: face.area, reverse=True)


def square(box: Box, height: int, width: int, enlarge: float) -> tuple[int, int, int]:
    """The square (left, top, side) around ``box``.

    Its side is the longer side of the box times ``enlarge``, or the shorter side of the image if that is less. At the
    image's edge the square is moved, not cut, so that it covers only pixels that exist.
    """
    left, top, right, bottom = box
    side = max(1, min(round(max(right - left, bottom - top) * enlarge), height, width))
    x = min(max(round((left + right - side) / 2), 0), width - side)
    y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return x, y, side


def cut(image: Pixels, box: Box, *, enlarge: float, size: int) -> Pixels:
    """The `square` around ``box``, resized to ``size`` × ``size``."""
    from PIL import Image

    x, y, side = square(box, image.shape[0], image.shape[1], enlarge)
    face = image[y : y + side, x : x + side]
    if side == size:
        return np.ascontiguousarray(face)
    return np.array(Image.fromarray(face).resize((size, size), Image.Resampling.LANCZOS))


def aligned(image: Pixels, landmarks: Points, *, enlarge: float, size: int) -> Pixels:
    """The face whose ``landmarks``, 5×2, are turned, scaled and moved to `TEMPLATE`, in the middle of size × size.

    With ``enlarge`` above 1 the aligned face is so many times smaller than the crop. What lies outside the image is
    black. Pixels are interpolated bilinearly, as in DeepfakeBench.
    """
    from PIL import Image

    target = ((TEMPLATE - 0.5) / enlarge + 0.5) * size
    # Pillow asks for the place in the image of each pixel of the crop, which is the inverse transform.
    matrix = similarity(target, landmarks)
    face = Image.fromarray(image).transform(
        (size, size), Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return np.array(face)


def similarity(source: Points, target: Points) -> Points:
    """The rotation, scale and shift, 2×3, that moves ``source`` nearest to ``target``, both N×2, in least squares.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE TPAMI
    1991; in two dimensions it is a linear regression of complex numbers.
    """
    a, b = source[:, 0] + 1j * source[:, 1], target[:, 0] + 1j * target[:, 1]
    centred = a - a.mean()
    spread = float((abs(centred) ** 2).sum())
    factor = (centred.conj() @ (b - b.mean())) / spread if spread else 1.0
    shift = b.mean() - factor * a.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def encoded(image: Pixels, format: ImageFormat) -> bytes:
    """``image`` as the bytes of an image file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format.upper(), quality=95)  # a PNG has no quality, and Pillow ignores it
    return file.getvalue()


def steadied(face: Face, neighbours: Sequence[Face | None]) -> Face:
    """``face`` with the median of its own place and those of the same face in neighbouring frames.

    A detector's boxes jump by a step of its image pyramid from frame to frame. The median of three neighbours drops
    such a jump, and leaves a steady movement as it is. A neighbour whose box does not overlap is another face.
    """
    same = [face, *(n for n in neighbours if n is not None and overlap(n.box, face.box) >= SAME_FACE)]
    left, top, right, bottom = np.median([f.box for f in same], axis=0).tolist()
    marks = [f.landmarks for f in same if f.landmarks is not None]
    landmarks = np.median(marks, axis=0) if face.landmarks is not None else None
    return Face(box=(left, top, right, bottom), confidence=face.confidence, landmarks=landmarks)


def overlap(one: Box, other: Box) -> float:
    """The intersection of two boxes over their union, from 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - common
    return common / union if union > 0 else 0.0
