"""Corruptions that images meet on their way to a detector, each at several severities.

They act on an image as it is stored, before it is resized for a network. An image, its number and a severity always
give the same pixels, in whichever process, so that all networks see the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from PIL import Image
from scipy import ndimage

from sfic_bench.data.blend import jpeg
from sfic_bench.data.images import Pixels, to_pixels
from sfic_bench.errors import InvalidValue, SficBenchError, UnknownName, first_line
from sfic_bench.extras import install_command
from sfic_bench.plugins import WithPlugins


class UncorruptibleImage(SficBenchError):
    """An image that a corruption cannot take, such as one too large for JPEG."""


def _has_all() -> str:
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corruption:
    """One kind of damage.

    Attributes:
        name: its name on the command line and in results.
        title: its name in a report.
        unit: what a severity is.
        severities: those that are measured if nobody asks for others, in the order in which they are shown.
        least, most: the range of severities.
        function: from an image H×W×3, a severity and the image's number to the corrupted image, of the same shape.
        untouched: the severity that leaves an image as it is; ``None`` where there is none.
        is_whole: whether severities are whole numbers.
        lack: says what this machine lacks to do it; ``""`` if nothing.
    """

    name: str
    title: str
    unit: str
    severities: tuple[float, ...]
    least: float
    most: float
    function: Callable[[Pixels, float, int], Pixels]
    untouched: float | None = None
    is_whole: bool = False
    lack: Callable[[], str] = _has_all

    def at(self, severity: float) -> Callable[[Pixels, int], Pixels]:
        """From an image H×W×3 and its number to the image corrupted with ``severity``; workers can be given it.

        The function raises `UncorruptibleImage` for an image that cannot be corrupted.

        Raises:
            InvalidValue: for a severity out of range.
        """
        if not self.least <= severity <= self.most or (self.is_whole and severity != round(severity)):
            kind = "a whole number " if self.is_whole else ""
            raise InvalidValue(
                f"the severity of {self.name} ({self.unit}) must be {kind}from {self.least:g} to {self.most:g}, "
                f"got {severity:g}"
            )
        return partial(_corrupted, self.function, severity)


def _corrupted(function: Callable[[Pixels, float, int], Pixels], severity: float, image: Pixels, number: int) -> Pixels:
    return function(image, severity, number)


def _jpeg(image: Pixels, quality: float, _: int) -> Pixels:
    """Pillow's JPEG, whose colour has half the resolution (4:2:0)."""
    try:
        return jpeg(image, round(quality))
    except OSError as error:
        raise UncorruptibleImage(f"cannot be written as JPEG: {first_line(error)}") from None


def _blur(image: Pixels, sigma: float, _: int) -> Pixels:
    """A Gaussian filter, cut off at 4 σ; beyond its edges the image is mirrored."""
    return to_pixels(ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0)))


def _noise(image: Pixels, deviation: float, number: int) -> Pixels:
    """Independent noise on each pixel and colour, seeded by image and severity."""
    rng = np.random.default_rng([number, int(np.float64(deviation).view(np.uint64))])
    return to_pixels(image + np.float32(deviation) * rng.standard_normal(image.shape, np.float32))


def _resize(image: Pixels, factor: float, _: int) -> Pixels:
    """Bilinear with antialiasing to 1/factor of height and width, and bilinear back."""
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize(
        (max(1, round(width / factor)), max(1, round(height / factor))), Image.Resampling.BILINEAR
    )
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def _brightness(image: Pixels, factor: float, _: int) -> Pixels:
    """Every value times a factor, at most 255."""
    return to_pixels(image * np.float32(factor))


def _h264(image: Pixels, crf: float, _: int) -> Pixels:
    """A video of this one picture by x264, with its preset medium and colour of half the resolution (4:2:0), decoded.

    In a longer still video the picture would be better than its CRF says (by 1 to 2 dB with three frames), since x264
    spends more on what later frames repeat. Odd sizes get a last row or column more, which is cut off again.
    """
    import av

    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    try:
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
        encoder.time_base, encoder.options, encoder.thread_count = Fraction(1, 25), {"crf": str(round(crf))}, 1
        frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p")
        frame.pts = 0
        decoder = av.CodecContext.create("h264", "r")
        decoder.thread_count = 1
        packets = [*encoder.encode(frame), *encoder.encode(None)]
        (decoded,) = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    except (av.FFmpegError, ValueError) as error:
        raise UncorruptibleImage(f"cannot be encoded by x264: {first_line(error)}") from None
    return np.asarray(decoded.to_ndarray(format="rgb24")[:height, :width], np.uint8)


def _h264_lack() -> str:
    try:
        import av
    except ImportError:
        return f"PyAV is not installed: {install_command('faces')}"
    return "" if "libx264" in av.codecs_available else "this PyAV was built without the encoder libx264"


_OWN: Mapping[str, Corruption] = {
    corruption.name: corruption
    for corruption in (
        Corruption(
            name="jpeg", title="JPEG compression", unit="quality", severities=(100, 90, 70, 50, 30, 10),
            least=1, most=100, is_whole=True, function=_jpeg,
        ),
        Corruption(
            name="blur", title="Gaussian blur", unit="σ in pixels", severities=(0.5, 1, 1.5, 2, 2.5, 3),
            least=0, most=100, untouched=0, function=_blur,
        ),
        Corruption(
            name="noise", title="Gaussian noise", unit="standard deviation, of 255", severities=(2, 5, 10, 15, 20, 30),
            least=0, most=255, untouched=0, function=_noise,
        ),
        Corruption(
            name="resize", title="Smaller and back", unit="factor down", severities=(1.5, 2, 3, 4, 6, 8),
            least=1, most=1000, untouched=1, function=_resize,
        ),
        Corruption(
            name="brightness", title="Brightness", unit="factor", severities=(0.25, 0.5, 0.75, 1.25, 1.5, 2),
            least=0, most=255, untouched=1, function=_brightness,
        ),
        Corruption(
            name="h264", title="H.264 compression", unit="CRF", severities=(18, 23, 28, 34, 40, 46),
            least=0, most=51, is_whole=True, function=_h264, lack=_h264_lack,
        ),
    )
}  # fmt: skip
"""Of H.264, 23 and 40 are the compressions c23 and c40 of FaceForensics++ (Rössler et al., ICCV 2019)."""

CORRUPTIONS: Mapping[str, Corruption] = WithPlugins(_OWN, "corruptions", Corruption)
"""All corruptions by name, with those of plug-ins."""


def corruptions(names: Sequence[str]) -> list[Corruption]:
    """The corruptions of these names, each once.

    Raises:
        UnknownName: for a name that no corruption has.
    """
    for name in names:
        if name not in CORRUPTIONS:
            raise UnknownName("corruption", name, CORRUPTIONS)
    return [CORRUPTIONS[name] for name in dict.fromkeys(names)]
