"""Small stand-ins for the paper's four data sets, as manifests."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sfic_bench.data.manifest import COLUMNS, Manifest, write_manifest

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
SIZE = 32


def write_data_sets(folder: Path, images: int = 16) -> str:
    """Write FF++ in two compressions, DFDC, HFF and Celeb-DF; returns their manifests, joined by commas."""
    both = {"train": images, "test": images // 2}
    return ",".join(
        str(_write(folder, name, dataset, compressions, methods, splits))
        for name, dataset, compressions, methods, splits in (
            ("ff", "FF++", ("c23", "c40"), METHODS, both),
            ("dfdc", "DFDC", ("",), ("unknown",), both),
            ("hff", "HFF", ("",), ("unknown",), both),
            ("celeb", "Celeb-DF v2", ("",), ("Celeb-synthesis",), {"test": images // 2}),
        )
    )


def _write(
    folder: Path,
    name: str,
    dataset: str,
    compressions: tuple[str, ...],
    methods: tuple[str, ...],
    splits: dict[str, int],
) -> Path:
    rng = np.random.default_rng(len(name))
    rows = []
    for compression in compressions:
        for split, count in splits.items():
            for i in range(count):
                method = methods[i // 2 % len(methods)] if i % 2 else ""
                path = folder / name / compression / f"{split}{i:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = (rng.integers(40, 160) + rng.integers(0, 8, (SIZE, SIZE, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(path)
                video = "/".join(part for part in (method or "real", compression, f"{split}{i}") if part)
                place = path.relative_to(folder).as_posix()
                rows.append((place, i % 2, dataset, method, video, split, compression))
    manifest = folder / f"{name}.csv"
    write_manifest(Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=folder), manifest)
    return manifest
