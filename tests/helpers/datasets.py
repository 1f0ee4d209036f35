"""Small data sets in folders, and their manifests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from sfic_bench.data.manifest import COLUMNS, Manifest

Row = tuple[object, ...]
"""The values of a manifest's row."""


def touch_files(folder: Path, *names: str) -> None:
    """Write files that are no images."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image")


def write_file(folder: Path, name: str, content: object) -> None:
    """Write a text, or anything else as JSON."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random bytes."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save_image(path: Path, image: Image.Image, **options: Any) -> Path:
    """Save an image, in a folder that is created if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def manifest_rows(frame: pd.DataFrame) -> set[Row]:
    """The rows of an importer's table, which must be a valid manifest without masks."""
    assert tuple(frame) == COLUMNS
    Manifest(frame=frame, folder=Path())
    return set(frame.itertuples(index=False, name=None))


def manifest_of(folder: Path, *rows: Sequence[object]) -> Manifest:
    """A manifest called ``m.csv``."""
    return Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=folder, name="m.csv")
