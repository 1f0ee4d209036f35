"""Attention maps as a picture."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from sfic_bench.data.images import load_image
from sfic_bench.data.loader import Images, Unreadable, resized
from sfic_bench.data.manifest import Manifest
from sfic_bench.train.splits import UnreadableData

SIDE, GAP, HEAD = 192, 12, 22
"""Pixels of a map, between maps, and above a row."""

COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=float)
"""Dark to bright, evenly in lightness."""


def fakes(source: Manifest | Path, size: int, most: int) -> list[Tensor]:
    """Up to ``most`` fakes, bytes 3×size×size: of a manifest's test split, or the images in a folder.

    Raises:
        UnreadableData: if there is none, or one cannot be read.
    """
    if isinstance(source, Path):
        if not source.is_dir():
            raise UnreadableData(f"expected a folder of images, got {source}")
        paths = sorted(p for p in source.iterdir() if p.is_file())[:most]
        found = [torch.from_numpy(resized(load_image(p), size)).permute(2, 0, 1) for p in paths]
    else:
        frame = source.where(split="test")
        frame = frame[frame["label"] == 1]
        step = max(1, len(frame) // most)  # not one person's alone
        images = Images(frame.iloc[::step].head(most), source.folder, size)
        found = []
        for i in range(len(images)):
            item = images[i, 0]
            if isinstance(item, Unreadable):
                raise UnreadableData(item.reason)
            found.append(item.image)
    if not found:
        raise UnreadableData(f"{source if isinstance(source, Path) else source.name} has no fakes to look at")
    return found


def picture(maps: Sequence[Sequence[Tensor]], names: Sequence[str], counts: Sequence[int]) -> bytes:
    """A PNG with one row a network and one column a number of fakes."""
    width = GAP + len(counts) * (SIDE + GAP)
    canvas = Image.new("RGB", (width, len(maps) * (SIDE + GAP + HEAD) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (row, name) in enumerate(zip(maps, names, strict=True)):
        top = GAP + i * (SIDE + GAP + HEAD)
        for j, (values, count) in enumerate(zip(row, counts, strict=True)):
            left = GAP + j * (SIDE + GAP)
            # Pillow's own font has no Greek.
            spelt = name.replace("α", "alpha").replace("β", "beta")
            draw.text((left, top), f"{spelt}, {count} fakes", fill="black", font_size=12)
            tile = Image.fromarray(_coloured(values.numpy())).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            canvas.paste(tile, (left, top + HEAD - 4))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    at = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(np.clip(values, 0, 1), at, COLOURS[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
