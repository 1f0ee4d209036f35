"""The frames of a video, decoded in order and upright."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

import numpy as np

from sfic_bench.data.images import Pixels
from sfic_bench.errors import MissingDependency, SficBenchError, first_line
from sfic_bench.extras import install_command

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

SHORT = 0.9
"""A video is cut off if it ends before this share of the time that its header gives."""


class UnreadableVideo(SficBenchError):
    """A video that cannot be decoded to its end; ``reason`` says what is wrong with it."""

    def __init__(self, path: Path, reason: str) -> None:
        # Both are arguments of the exception, so that it can be pickled on its way out of a worker process.
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"cannot use the video {self.path}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLength:
    """How long a video is.

    Attributes:
        frames: number of frames, by the header, or by its packets where the header does not count them.
        cut_off: what shows that the file ends too early, as far as its header tells; empty if nothing does.
    """

    frames: int
    cut_off: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFrame:
    """One decoded frame.

    Attributes:
        index: its number in the video, from 0.
        time_s: when it is shown, seconds after the start; ``None`` if the file does not say.
        image: H×W×3, RGB.
    """

    index: int
    time_s: float | None
    image: Pixels


def length(path: Path) -> VideoLength:
    """How long the video in ``path`` is.

    Raises:
        UnreadableVideo: if the file is no video or has no frames.
        MissingDependency: without PyAV.
    """
    with _video_stream(path) as (container, stream):
        if stream.frames:
            return VideoLength(frames=stream.frames)
        count, damaged, end = 0, 0, 0.0
        for packet in container.demux(stream):
            damaged += packet.is_corrupt
            if packet.size and not packet.is_corrupt:
                count += 1
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        seconds = (container.duration or 0) / 1e6
    if not count:
        raise UnreadableVideo(path, "it has no frames")
    cut_off = ""
    if damaged:
        cut_off = "the file is cut off: its last frame is incomplete"
    elif end < SHORT * seconds:
        cut_off = f"the file is cut off: it ends after {end:.1f} of {seconds:.1f} s"
    return VideoLength(frames=count, cut_off=cut_off)


def frames(path: Path, indices: Collection[int]) -> Iterator[VideoFrame]:
    """The frames of a video with the given indices, in order and upright; indices after its end are left out.

    The video is decoded from its start, since seeking follows the file's index, which need not be exact.

    Raises:
        UnreadableVideo: where the video cannot be decoded any further.
        MissingDependency: without PyAV.
    """
    last = max(indices, default=-1)
    with _video_stream(path) as (container, stream):
        stream.codec_context.thread_count = 1  # one process runs on each core
        for index, frame in enumerate(container.decode(stream)):
            if index > last:
                return
            if index in indices:
                degrees = getattr(frame, "rotation", 0)  # older releases of PyAV lack it
                image = upright(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), degrees)
                yield VideoFrame(index=index, time_s=frame.time, image=image)


def upright(image: Pixels, degrees: float) -> Pixels:
    """``image`` turned anticlockwise by the angle of its display matrix, since phones record sideways."""
    return np.ascontiguousarray(np.rot90(image, round(degrees / 90)))


@contextmanager
def _video_stream(path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """An opened video and its first stream; errors of the decoder become `UnreadableVideo`."""
    try:
        import av
    except ImportError:
        raise MissingDependency(f"reading videos needs PyAV: {install_command('faces')}") from None

    try:
        if not S_ISREG(path.stat().st_mode):
            raise UnreadableVideo(path, "it is a folder, a device or a pipe, expected a file")
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnreadableVideo(path, "it has no pictures, perhaps only sound")
            yield container, container.streams.video[0]
    except FileNotFoundError:
        raise UnreadableVideo(path, "there is no such file") from None
    except av.error.InvalidDataError:
        reason = "no video that can be decoded, or damaged or cut off here (an MP4 file needs its end, too)"
        raise UnreadableVideo(path, reason) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableVideo(path, getattr(error, "strerror", None) or first_line(error)) from None
