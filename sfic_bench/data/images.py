"""Image files as pixels, all alike: H×W×3, RGB, 8 bits; or an error that names the file.

What a file has and becomes:

- palette, greyscale, CMYK: converted to RGB;
- 16 bits, grey: divided by 257, which takes 65535 to 255; never clipped. 16 bits in colour: the upper 8, as Pillow
  reads them;
- an alpha channel or a transparent colour: laid on black, then dropped;
- an EXIF orientation: applied;
- several pictures (GIF, TIFF, WebP): the first.

A file that cannot be read is never read again: what is broken stays broken, and a loader that tries once more hangs.
Pixels that are wrong but decode, as after a flipped bit inside a JPEG, cannot be told from others.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfic_bench.errors import MissingDependency, SficBenchError, first_line

Pixels = NDArray[np.uint8]

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Of files that are taken for images, in lower case."""

# Others, such as EPS, would start another program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

PIXELS = 89_478_485
"""The most that an image may have: Pillow's bound, above which it warns of a decompression bomb."""


class UnreadableImage(SficBenchError):
    """A file that is no usable image.

    Attributes:
        path: the file.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        # Both as arguments, so that the error survives the way out of a worker process.
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"cannot use the image {self.path}: {self.reason}"


class MissingImage(UnreadableImage):
    """A file that is not there."""


def load_image(path: Path) -> Pixels:
    """The image in ``path``, H×W×3, RGB.

    Raises:
        MissingImage: if there is no such file.
        UnreadableImage: for an empty, cut off, corrupt or huge file, for pixels without a known range, for a folder.
        MissingDependency: without Pillow.
    """
    return decode_image(read_image(path), path)


def read_image(path: Path) -> bytes:
    """The bytes of ``path``, not yet looked at.

    Raises:
        MissingImage: if there is no such file.
        UnreadableImage: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingImage(path, "there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise UnreadableImage(path, getattr(error, "strerror", None) or first_line(error)) from None


def decode_image(data: bytes, path: Path) -> Pixels:
    """The image that ``data`` is a file of, H×W×3, RGB; ``path`` is only named in errors.

    Raises:
        UnreadableImage: as `load_image`.
        MissingDependency: without Pillow.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDependency("reading images needs Pillow: pip install 'sfic-bench[train]'") from None
    if not data:
        raise UnreadableImage(path, "the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > PIXELS:  # before any pixel is decoded
                raise UnreadableImage(path, f"{width:,}×{height:,} pixels, more than {PIXELS:,}")
            return _rgb(image, path)
    except UnreadableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableImage(path, f"more than {PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise UnreadableImage(path, f"no image: expected one of {', '.join(FORMATS)}") from None
    # Decoders meet corrupt bytes with many types, such as struct.error, SyntaxError and EOFError.
    except Exception as error:
        raise UnreadableImage(path, f"corrupt or cut off: {first_line(error)}") from None


def _rgb(image: Any, path: Path) -> Pixels:
    """``image``, of any mode, as H×W×3."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise UnreadableImage(path, "its pixels are floating point numbers, whose range is not known")
    if image.mode.startswith("I"):
        return np.repeat(_eight_bits(np.asarray(image), path)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.array(image.convert("RGB"))


def _eight_bits(values: NDArray[Any], path: Path) -> Pixels:
    """Grey ``values`` of 16 bits, which Pillow may hold in 32, over 257."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 0xFFFF:
        raise UnreadableImage(path, f"grey values from {low} to {high}, expected 16 bits: 0 to 65535")
    return np.rint(values / 257).astype(np.uint8)
