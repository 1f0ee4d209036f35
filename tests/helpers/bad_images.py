"""Image files that cannot be used."""

import io
import zlib

import numpy as np
from PIL import Image

from helpers.datasets import noise


def jpeg_bytes() -> bytes:
    """A whole JPEG."""
    file = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(file, "JPEG")
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    body = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + (1000).to_bytes(4, "big") + b"IDAT"


def bad_files() -> dict[str, tuple[bytes, str]]:
    """By name, the content of an unusable file, and a part of the message about it."""
    data = jpeg_bytes()
    floats = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(floats, "TIFF")
    return {
        "empty.png": (b"", "empty (0 bytes)"),
        "cut.jpg": (data[: len(data) // 2], "cut off"),
        "text.jpg": (b"<html>404</html>", "no image"),
        "header.jpg": (data[:3] + bytes(500), "no image"),
        "corrupt.jpg": (data[:2] + data[20:200] + data[2:60], "corrupt"),
        "bomb.png": (png_header(30_000, 30_000), "pixels"),
        "large.png": (png_header(10_000, 8_950), "pixels"),
        "floats.tif": (floats.getvalue(), "floating point"),
        "vector.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
    }
