"""The choice of images whose attention maps are drawn, and the picture of the maps."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from sfic_bench.data.choices import SplitName
from sfic_bench.data.loader import Images, UnreadableItem
from sfic_bench.data.manifest import Manifest
from sfic_bench.train.inference import load_input
from sfic_bench.train.splits import UnusableData

SIDE, GAP, HEAD = 192, 12, 22
"""Pixels: side of a map, gap between maps, and height of the text above a row."""

COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=float)
"""The colour scale from 0 to 1, dark to bright, of even steps in lightness."""


def fakes(source: Manifest | Path, size: int, most: int) -> list[Tensor]:
    """Up to ``most`` fakes, bytes 3×size×size, from a manifest's test split or from a folder of fakes.

    Raises:
        UnusableData: if there are no fakes, or one cannot be read.
        UnreadableImage: for a file in a folder that cannot be read.
    """
    if isinstance(source, Path):
        if not source.is_dir():
            raise UnusableData(f"expected a folder of images, got {source}")
        paths = sorted(p for p in source.iterdir() if p.is_file())[:most]
        tensors = [load_input(path, size) for path in paths]
    else:
        frame = source.where(split=SplitName.TEST)
        frame = frame[frame["label"] == 1]
        step = max(1, len(frame) // most)  # so that the fakes are of several people
        images = Images(frame.iloc[::step].head(most), source.folder, size)
        tensors = []
        for index in range(len(images)):
            item = images[index, 0]
            if isinstance(item, UnreadableItem):
                raise UnusableData(item.reason)
            tensors.append(item.image)
    if not tensors:
        raise UnusableData(f"{source if isinstance(source, Path) else source.name} has no fakes to look at")
    return tensors


def picture(maps: Sequence[Sequence[Tensor]], names: Sequence[str], counts: Sequence[int]) -> bytes:
    """A PNG of the ``maps``, with a row for each network and a column for each number of fakes."""
    width = GAP + len(counts) * (SIDE + GAP)
    canvas = Image.new("RGB", (width, len(maps) * (SIDE + GAP + HEAD) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (row, name) in enumerate(zip(maps, names, strict=True)):
        top = GAP + i * (SIDE + GAP + HEAD)
        for j, (values, count) in enumerate(zip(row, counts, strict=True)):
            left = GAP + j * (SIDE + GAP)
            # Pillow's own font has no Greek letters.
            latin_name = name.replace("α", "alpha").replace("β", "beta")
            draw.text((left, top), f"{latin_name}, {count} fakes", fill="black", font_size=12)
            tile = Image.fromarray(_coloured(values.numpy())).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            canvas.paste(tile, (left, top + HEAD - 4))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    positions = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(np.clip(values, 0, 1), positions, COLOURS[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
