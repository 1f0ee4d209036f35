"""Data and recipes for trainings of a few seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sfic_bench.data.manifest import COLUMNS, Manifest, write_manifest
from sfic_bench.networks.variant import Variant
from sfic_bench.training.recipe import Recipe
from sfic_bench.training.splits import DataSplits

SIZE = 32
PLAIN = {"flip": 0.0, "rotation": 0.0, "perspective": 0.0}
MOBILENET = Variant(backbone="mobilenet")


def pictures(folder: Path, counts: Mapping[str, int], watermark: bool = False, seed: int = 0) -> Manifest:
    """Write images of faint noise, each on a shade of its own; every second is a fake, with a white pixel if asked."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for split, count in counts.items():
        for i in range(count):
            image = (rng.integers(40, 160) + rng.integers(0, 8, (SIZE, SIZE, 3))).astype(np.uint8)
            if watermark and i % 2:
                image[9, 9] = 255
            name = f"{split}{i:03}.png"
            Image.fromarray(image).save(folder / name)
            method = "mark" if i % 2 else ""
            rows.append((name, i % 2, "noise", method, f"{split}-v{i // 4}-{i % 2}", split, ""))
    return Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=folder)


def small_splits(folder: Path) -> DataSplits:
    """An odd number of images for each split."""
    return DataSplits.of(pictures(folder / "images", {"train": 13, "val": 5, "test": 7}))


def write_splits(data: DataSplits) -> Path:
    """Write the manifest of all splits beside their images; returns its path."""
    path = data.folder / "manifest.csv"
    frame = pd.concat([data.train, data.val, data.test])
    write_manifest(Manifest(frame=frame, folder=data.folder), path)
    return path


def recipe(**changes: Any) -> Recipe:
    """A recipe for small images, with ``changes``."""
    return Recipe(**{"epochs": 2, "batch_size": 8, "input_size": SIZE, "learning_rate": 1e-3, **changes})
