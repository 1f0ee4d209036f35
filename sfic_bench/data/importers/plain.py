"""A plain folder with ``real`` and ``fake`` in it, or one such pair for each split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd

from sfic_bench.data.importers.layout import (
    UNKNOWN,
    BadLayout,
    Rows,
    Video,
    images_below,
    subfolders,
    videos_below,
)
from sfic_bench.data.manifest import SPLITS
from sfic_bench.errors import UnknownName

CLASSES = {"real": 0, "fake": 1}
"""Labels by folder, whatever its case; fake = 1."""

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def load(folder: Path, *, split: str | None = None) -> pd.DataFrame:
    """Images in ``real`` and ``fake``, or in ``train/real``, ``train/fake``, ``val/real`` and so on.

    An image that lies directly in its class is a video of its own; ``fake/VIDEO/image``: its folder is the video;
    ``fake/METHOD/VIDEO/image``: the outer folder is the method, too. The data set is called by the folder.

    Args:
        folder: what to list.
        split: of a folder without folders for splits; ``test`` if not given.

    Raises:
        BadLayout: if there are no such folders or no images in them, or ``split`` is given although the folder has splits.
        UnknownName: for another split.
    """
    if split is not None and split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    rows = Rows(folder, folder.resolve().name)
    for inner, named in split_folders(folder):
        if named and split:
            raise BadLayout(f"{folder} has folders for its splits, such as {inner.name}: leave out --split")
        add_classes(rows, inner, named or split or "test", folders_are="videos")
    return rows.table("folder")


def list_videos(folder: Path) -> list[Video]:
    """All videos in the classes; their frames go beside them, into a folder of their name."""
    return [
        Video(path=path, frames=path.with_suffix("").relative_to(folder), label=label)
        for inner, _ in split_folders(folder)
        for classes, label in _classes(inner)
        for path in videos_below(classes)
    ]


def split_folders(folder: Path) -> Iterator[tuple[Path, str]]:
    """Folders that have ``real`` or ``fake`` in them, and their splits; "" for ``folder`` itself.

    Raises:
        BadLayout: if there are none.
    """
    if list(_classes(folder)):
        yield folder, ""
        return
    inner = [f for f in subfolders(folder) if f.name.lower() in SPLIT_FOLDERS and list(_classes(f))]
    if not inner:
        raise BadLayout(f"{folder} has neither real and fake in it, nor in folders train, val or test")
    for one in inner:
        yield one, SPLIT_FOLDERS[one.name.lower()]


def add_classes(rows: Rows, folder: Path, split: str, *, folders_are: Literal["methods", "videos"]) -> None:
    """Images in the ``real`` and ``fake`` of ``folder``; what the folders directly in these are is told."""
    if not split:
        raise BadLayout(
            f"{folder} has no folders for splits: expected train, val or test around real and fake"
        )
    for classes, label in _classes(folder):
        for image in images_below(classes):
            inner = image.relative_to(classes).parent.parts
            name = f"{classes.name.lower()}/{'/'.join(inner)}"
            if not inner or folders_are == "methods":  # the image is its own video
                name = f"{split}/{name}/{image.stem}".replace("//", "/")
            has_method = len(inner) > 1 or (inner and folders_are == "methods")
            rows.add(image, label, method=inner[0] if has_method else UNKNOWN, video=name, split=split)


def _classes(folder: Path) -> Iterator[tuple[Path, int]]:
    for inner in subfolders(folder):
        if inner.name.lower() in CLASSES:
            yield inner, CLASSES[inner.name.lower()]
