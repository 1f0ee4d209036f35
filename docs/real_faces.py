"""Draws a balanced manifest from 95,634 face crops of the DFDC training videos: ``python docs/real_faces.py FOLDER``.

FOLDER is your copy of https://github.com/i-Shreyansh/DeepFake-Detection, with ``metadata.csv`` and ``faces_224``: one
crop of 224×224 of each video. The manifest is written into it as ``manifest.csv``.

Each original video gives two images, its own crop and that of one of its fakes, drawn at random; both are in the same
split and are resampled together (column ``group``), since they show the same person and scene. The seed determines
the draw: 4,000 originals for training, 500 for validation and 1,500 for testing.

``shuffled.csv`` is the same but for its labels, which are exchanged in every second pair at random. A network that is
trained and tested with it must have an AUC of 0.5: what else it finds, the harness has given away.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sfic_bench.data.manifest import Manifest, write_manifest

ORIGINALS = {"train": 4000, "val": 500, "test": 1500}
"""The number of original videos of each split, each of which gives two images."""

SEED = 7


def drawn(videos: pd.DataFrame) -> pd.DataFrame:
    """The rows of the manifest.

    Args:
        videos: ``metadata.csv``, with a row for each video: ``videoname``, ``label`` and ``original``.
    """
    real = set(videos.loc[videos["label"] == "REAL", "videoname"])
    fakes = videos[(videos["label"] == "FAKE") & videos["original"].isin(real)]
    by_original = fakes.sort_values("videoname").groupby("original", sort=True)["videoname"].agg(list)
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(len(by_original))[: sum(ORIGINALS.values())]
    splits = np.repeat(list(ORIGINALS), list(ORIGINALS.values()))
    rows = []
    for index, split in zip(chosen, splits, strict=True):
        original, of_original = by_original.index[index], by_original.iloc[index]
        fake = of_original[rng.integers(len(of_original))]
        for video, label, method in ((original, 0, ""), (fake, 1, "DFDC")):
            name = video.removesuffix(".mp4")
            rows.append((f"faces_224/{name}.jpg", label, "DFDC faces", method, name, split, "", original))
    columns = ["path", "label", "dataset", "method", "video", "split", "compression", "group"]
    return pd.DataFrame(rows, columns=columns)


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the labels of each pair exchanged, or not, by chance."""
    rng = np.random.default_rng(SEED)
    exchanged = np.repeat(rng.integers(2, size=len(frame) // 2), 2)
    label = frame["label"].to_numpy() ^ exchanged
    return frame.assign(label=label, method=np.where(label == 1, "DFDC", ""))


def main() -> None:
    """Write both manifests and say how many images they have."""
    (folder,) = map(Path, sys.argv[1:])
    manifest = Manifest(frame=drawn(pd.read_csv(folder / "metadata.csv")), folder=folder, name="DFDC faces")
    missing = [path for path in manifest.frame["path"] if not (folder / path).is_file()]
    if missing:
        raise SystemExit(f"{len(missing)} of {len(manifest)} crops are not in {folder}, such as {missing[0]}")
    write_manifest(manifest, folder / "manifest.csv")
    write_manifest(replace(manifest, frame=shuffled(manifest.frame)), folder / "shuffled.csv")
    counts = ", ".join(f"{count} {split}" for split, count in manifest.frame["split"].value_counts().items())
    sys.stderr.write(f"wrote manifest.csv and shuffled.csv into {folder}: {counts} images each\n")


if __name__ == "__main__":
    main()
