"""The faces of one video: decoding its frames, finding the face in each, and cropping it.

Source: the paper crops with the face_recognition library, whose default is dlib's frontal face detector (King, JMLR
2009) on the image enlarged once.
"""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfic_bench.data.choices import ImageFormat
from sfic_bench.data.images import Pixels
from sfic_bench.errors import MissingDependency, SficBenchError, first_line

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


class UnreadableVideo(SficBenchError):
    """A video that cannot be decoded to its end."""


def square(box: tuple[int, int, int, int], height: int, width: int, enlarge: float) -> tuple[int, int, int]:
    """The square (left, top, side) around ``box`` (left, top, right, bottom; the last two exclusive).

    Its side is the longer side of the box times ``enlarge``, or the shorter side of the image if that is less. At the
    image's edge the square is moved, not cut, so that it covers only pixels that exist.
    """
    left, top, right, bottom = box
    side = max(1, min(round(max(right - left, bottom - top) * enlarge), height, width))
    x = min(max(round((left + right - side) / 2), 0), width - side)
    y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return x, y, side


def largest_face(image: Pixels, upsample: int) -> tuple[int, int, int, int] | None:
    """The largest face in ``image``, H×W×3 in RGB: left, top, right, bottom, the last two exclusive.

    The box may reach outside the image. ``upsample`` says how often the image is doubled first, to find faces below 80
    pixels; face_recognition doubles it once.
    """
    faces = _detector()(np.ascontiguousarray(image), upsample)
    boxes = [(f.left(), f.top(), f.right() + 1, f.bottom() + 1) for f in faces]
    return max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]), default=None)


def crop(image: Pixels, box: tuple[int, int, int, int], *, enlarge: float, size: int, format: ImageFormat) -> bytes:
    """The `square` around ``box``, resized to ``size`` × ``size``, as the bytes of an image file."""
    from PIL import Image

    x, y, side = square(box, image.shape[0], image.shape[1], enlarge)
    face = Image.fromarray(image[y : y + side, x : x + side])
    if side != size:
        face = face.resize((size, size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    face.save(file, format.upper(), quality=95)  # a PNG has no quality, and Pillow ignores it
    return file.getvalue()


def check_installed() -> None:
    """Raise `MissingDependency` before any worker process would."""
    try:
        import av  # noqa: F401
        import dlib  # noqa: F401
        import PIL  # noqa: F401
    except ImportError:
        raise MissingDependency(
            "taking faces out of videos needs PyAV, dlib and Pillow: pip install 'sfic-bench[faces]'"
        ) from None


def count_frames(path: Path) -> int:
    """The number of a video's frames, by its header, or by its packets where the header does not count them.

    Raises:
        UnreadableVideo: if the file is no video or has no frames.
    """
    with _video_stream(path) as (container, stream):
        count: int = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
    if not count:
        raise UnreadableVideo(f"{path}: no frames")
    return count


def frames(path: Path, indices: Collection[int]) -> Iterator[tuple[int, Pixels]]:
    """The frames of a video with the given indices, in order and upright; indices after its end are left out.

    The video is decoded from its start, since seeking follows the file's index, which need not be exact.

    Raises:
        UnreadableVideo: where the video cannot be decoded any further.
    """
    last = max(indices, default=-1)
    with _video_stream(path) as (container, stream):
        stream.codec_context.thread_count = 1  # one process runs on each core
        for index, frame in enumerate(container.decode(stream)):
            if index > last:
                return
            if index in indices:
                degrees = getattr(frame, "rotation", 0)  # older releases of PyAV lack it
                yield index, upright(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), degrees)


def upright(image: Pixels, degrees: float) -> Pixels:
    """``image`` turned anticlockwise by the angle of its display matrix, since phones record sideways."""
    return np.ascontiguousarray(np.rot90(image, round(degrees / 90)))


@contextmanager
def _video_stream(path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """An opened video and its first stream; errors of the decoder become `UnreadableVideo`."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnreadableVideo(f"{path}: no video stream")
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableVideo(f"{path}: {first_line(error)}") from None


@lru_cache(maxsize=1)
def _detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()
