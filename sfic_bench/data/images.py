"""Image files decoded to pixels of one form, H×W×3, RGB, 8 bits.

- Palette, greyscale and CMYK images are converted to RGB.
- Grey values of 16 bits are divided by 257, which takes 65535 to 255, and never clipped. Of 16 bits in colour the upper
  8 are taken, as Pillow reads them.
- An alpha channel or a transparent colour is laid on black and then dropped.
- An EXIF orientation is applied.
- Of several pictures in one file (GIF, TIFF, WebP) the first is taken.

A file that cannot be read is not tried a second time, since a loader that tries again and again hangs. Wrong pixels
that decode, such as those after a flipped bit inside a JPEG, cannot be recognised.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfic_bench.data.databases import BadDatabase, read_entry
from sfic_bench.errors import MissingDependency, SficBenchError, first_line
from sfic_bench.extras import install_command
from sfic_bench.files import read_file

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Pixels = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""The endings, in lower case, of files that are taken for images."""

# Pillow's decoders for other formats, such as EPS, would start another program.
DECODERS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

MAX_PIXELS = 89_478_485
"""The most pixels that an image may have: Pillow's bound, above which it warns of a decompression bomb."""


class UnreadableImage(SficBenchError):
    """A file that is no usable image; ``reason`` says what is wrong with it."""

    def __init__(self, path: Path, reason: str) -> None:
        # Both are arguments of the exception, so that it can be pickled on its way out of a worker process.
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"cannot use the image {self.path}: {self.reason}"


class MissingImage(UnreadableImage):
    """An image file that does not exist."""


def load_image(path: Path, at_least: int | None = None) -> Pixels:
    """The image in ``path``, H×W×3, RGB.

    With ``at_least`` a JPEG file may be decoded at a half, a quarter or an eighth of its size, if neither side is below
    that many pixels then; a part of the work is left out.

    Raises:
        MissingImage: if there is no such file.
        UnreadableImage: for an empty, truncated, corrupt or huge file, a folder, and pixels without a known range.
        MissingDependency: without Pillow.
    """
    return decode_image(read_image(path), path, at_least)


def read_image(path: Path) -> bytes:
    """The bytes of ``path``, which may be an entry of a database, see `sfic_bench.data.databases`.

    Raises:
        MissingImage, UnreadableImage: if it cannot be read.
    """
    try:
        return read_file(path)
    except FileNotFoundError:
        try:
            entry = read_entry(path)
        except BadDatabase as error:
            raise UnreadableImage(path, str(error)) from None
        if entry is None:
            raise MissingImage(path, "there is no such file") from None
        return entry
    except (OSError, ValueError) as error:  # a ValueError is of a name that no file can have
        raise UnreadableImage(path, getattr(error, "strerror", None) or first_line(error)) from None


def decode_image(data: bytes, path: Path, at_least: int | None = None) -> Pixels:
    """The image in the bytes ``data`` of a file, as `load_image` gives it; errors name ``path``."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDependency(f"reading images needs Pillow: {install_command('train')}") from None
    if not data:
        raise UnreadableImage(path, "the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=DECODERS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:  # before any pixel is decoded
                raise UnreadableImage(path, f"{width:,}×{height:,} pixels, more than {MAX_PIXELS:,}")
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            return _rgb(image, path)
    except UnreadableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableImage(path, f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise UnreadableImage(path, f"no image: expected one of {', '.join(DECODERS)}") from None
    # Decoders raise many types of errors for corrupt bytes, such as struct.error, SyntaxError and EOFError.
    except Exception as error:
        raise UnreadableImage(path, f"corrupt or cut off: {first_line(error)}") from None


def _rgb(image: "PillowImage", path: Path) -> Pixels:
    """The pixels of ``image``, which may have any mode, H×W×3."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise UnreadableImage(path, "its pixels are floating point numbers, whose range is not known")
    if image.mode.startswith("I"):
        grey = np.asarray(image)  # of 16 bits, which Pillow may hold in 32
        low, high = int(grey.min()), int(grey.max())
        if low < 0 or high > 0xFFFF:
            raise UnreadableImage(path, f"grey values from {low} to {high}, expected 16 bits, from 0 to 65535")
        return np.repeat(np.rint(grey / 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("RGB"))


def to_pixels(values: NDArray[np.floating]) -> Pixels:
    """``values`` rounded to bytes; those below 0 or above 255 become 0 or 255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
