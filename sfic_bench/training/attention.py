"""The choice of images whose attention maps are drawn, and the picture of the maps."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from sfic_bench.data.choices import SplitName
from sfic_bench.data.loader import Images, UnreadableItem
from sfic_bench.data.manifest import Manifest, frame_keys
from sfic_bench.training.inference import load_input
from sfic_bench.training.splits import UnusableData

SIDE, GAP, HEAD = 192, 12, 22
"""Pixels: side of a map, gap between maps, and height of the text above a row."""

COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=float)
"""The colour scale from 0 to 1, dark to bright, of even steps in lightness."""


def fakes(source: Manifest | Path, size: int, most: int, seed: int = 7) -> list[Tensor]:
    """``most`` random fakes, bytes 3×size×size, from a manifest's test split or from a folder of fakes.

    From a manifest each is of another video, and methods take turns, so that 4 fakes of a data set with four methods
    are one of each. The same seed gives the same fakes.

    Raises:
        UnusableData: if there are too few fakes, or one cannot be read.
        UnreadableImage: for a file in a folder that cannot be read.
    """
    numbers = np.random.default_rng(seed)
    if isinstance(source, Path):
        if not source.is_dir():
            raise UnusableData(f"expected a folder of images, got {source}")
        paths = numbers.permutation(np.array(sorted(str(p) for p in source.iterdir() if p.is_file()), dtype=str))
        _check_enough(len(paths), most, f"{source} has", "images")
        return [load_input(Path(path), size) for path in paths[:most]]
    chosen = _one_a_video(source, numbers)
    _check_enough(len(chosen), most, f"the test split of {source.name} has fakes of", "videos")
    images = Images(chosen.head(most), source.folder, size)
    tensors = []
    for index in range(len(images)):
        item = images[index, 0]
        if isinstance(item, UnreadableItem):
            raise UnusableData(item.reason)
        tensors.append(item.image)
    return tensors


def _one_a_video(manifest: Manifest, numbers: np.random.Generator) -> pd.DataFrame:
    """A random fake of each video of the test split, in whatever compression, with the methods in turns."""
    rows = manifest.where(split=SplitName.TEST)
    rows = rows[rows["label"] == 1]
    rows = rows.iloc[numbers.permutation(len(rows))]
    rows = rows[~frame_keys(rows).str.rpartition("/")[0].duplicated()]
    return rows.assign(turn=rows.groupby("method").cumcount()).sort_values(["turn", "method"]).drop(columns="turn")


def _check_enough(count: int, most: int, where: str, what: str) -> None:
    if count < most:
        raise UnusableData(f"{where} {count:,} {what}, and {most} fakes are to be averaged: give smaller --counts")


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
            tile = Image.fromarray(coloured(values.numpy())).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            canvas.paste(tile, (left, top + HEAD - 4))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``values`` from 0 to 1, H×W, in the `COLOURS` of the scale, H×W×3."""
    positions = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(np.clip(values, 0, 1), positions, COLOURS[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
