"""A plain folder that has the folders ``real`` and ``fake``, or such a pair for each split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers import layout

CLASSES = {"real": 0, "fake": 1}
"""Labels by the name of the folder in lower case; fake = 1."""

SPLIT_FOLDERS = {split.value: split for split in SplitName} | dict.fromkeys(("valid", "validation"), SplitName.VAL)
"""Splits by the name of the folder in lower case."""


def load(folder: Path, *, split: SplitName | None = None) -> pd.DataFrame:
    """Images in ``real`` and ``fake``, or in ``train/real``, ``train/fake``, ``val/real`` and so on.

    An image that lies directly in ``real`` or ``fake`` is a video of its own. In ``fake/VIDEO/image`` the folder is the
    video; in ``fake/METHOD/VIDEO/image`` the outer folder also names the method. The data set has the folder's name.

    Args:
        folder: the data set's folder.
        split: the split of all images if the folder has no folders for splits; ``test`` if not given.

    Raises:
        BadLayout: without such folders or images in them, or if both ``split`` and the folder name splits.
    """
    manifest = layout.ManifestBuilder(folder, folder.resolve().name)
    for inner, folder_split in split_folders(folder):
        if folder_split and split:
            raise layout.BadLayout(f"{folder} has folders for its splits, such as {inner.name}: leave out --split")
        add_classes(manifest, inner, folder_split or split or SplitName.TEST, folders_are="videos")
    return manifest.table("folder")


def list_videos(folder: Path) -> list[layout.Video]:
    """All videos in ``real`` and ``fake``; the frames of each go into a folder beside it that has its name."""
    return [
        layout.Video(path=path, frames=path.with_suffix("").relative_to(folder), label=label)
        for inner, _ in split_folders(folder)
        for class_folder, label in _class_folders(inner)
        for path in layout.files_below(class_folder, layout.videos)
    ]


def split_folders(folder: Path) -> Iterator[tuple[Path, SplitName | None]]:
    """The folders that have ``real`` or ``fake`` in them, each with its split; no split if it is ``folder`` itself.

    Raises:
        BadLayout: if there are no such folders.
    """
    if list(_class_folders(folder)):
        yield folder, None
        return
    folders = [f for f in layout.subfolders(folder) if f.name.lower() in SPLIT_FOLDERS and list(_class_folders(f))]
    if not folders:
        raise layout.BadLayout(f"{folder} has neither real and fake in it, nor in folders train, val or test")
    for inner in folders:
        yield inner, SPLIT_FOLDERS[inner.name.lower()]


def add_classes(
    manifest: layout.ManifestBuilder, folder: Path, split: SplitName, *, folders_are: Literal["methods", "videos"]
) -> None:
    """Add the images in the ``real`` and ``fake`` of ``folder``, whose own folders are methods or videos."""
    for class_folder, label in _class_folders(folder):
        for image in layout.files_below(class_folder, layout.images):
            inner = image.relative_to(class_folder).parent.parts
            name = f"{class_folder.name.lower()}/{'/'.join(inner)}"
            if not inner or folders_are == "methods":  # the image is its own video
                name = f"{split}/{name}/{image.stem}".replace("//", "/")
            has_method = len(inner) > 1 or (inner and folders_are == "methods")
            method = inner[0] if has_method else layout.UNKNOWN
            manifest.add(image, label, method=method, video=name, split=split)


def _class_folders(folder: Path) -> Iterator[tuple[Path, int]]:
    for inner in layout.subfolders(folder):
        if inner.name.lower() in CLASSES:
            yield inner, CLASSES[inner.name.lower()]
