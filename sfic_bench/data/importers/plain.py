"""A plain folder that has a folder for each class, such as ``real`` and ``fake``, or such folders for each split."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers import layout
from sfic_bench.data.importers.grouping import SeededSplit, divided, groups_in
from sfic_bench.errors import InvalidValue, UnknownName

CLASSES = {"real": 0, "fake": 1}
"""Labels by the name of the folder in lower case; fake = 1."""

SPLIT_FOLDERS = {split.value: split for split in SplitName} | dict.fromkeys(("valid", "validation"), SplitName.VAL)
"""Splits by the name of the folder in lower case."""

Inner = Literal["methods", "videos"]
"""What the folders in the folder of a class are."""


def load(
    folder: Path,
    *,
    split: SplitName | None = None,
    fractions: SeededSplit | None = None,
    real: Sequence[str] = (),
    fake: Sequence[str] = (),
    folders: str = "videos",
    group: str = "",
) -> pd.DataFrame:
    """Images in ``real`` and ``fake``, or in ``train/real``, ``train/fake``, ``val/real`` and so on.

    An image that lies directly in ``real`` or ``fake`` is a video of its own. In ``fake/VIDEO/image`` the folder is the
    video; in ``fake/METHOD/VIDEO/image`` the outer folder also names the method. The data set has the folder's name.

    Args:
        folder: the data set's folder.
        split: the split of all images if the folder has no folders for splits; ``test`` if not given.
        fractions: divides the images of such a folder at random instead, by groups.
        real: names of the folders of real images, instead of ``real``.
        fake: names of the folders of fakes, instead of ``fake``. With several each is a method.
        folders: what the folders in those of the classes are: ``"videos"`` as above, or ``"methods"``, where each image
            is a video of its own.
        group: a pattern that finds groups in paths, see `groups_in`.

    Raises:
        BadLayout: without such folders or images in them, or if both an option and the folder name splits.
        InvalidValue: for a class that is both, both kinds of split, or what does not fit the images.
        UnknownName: if ``folders`` is something else.
    """
    if folders not in get_args(Inner):
        raise UnknownName("kind of folders", folders, get_args(Inner))
    if split and fractions:
        raise InvalidValue("--split gives all images one split, and --fractions divides them: leave one out")
    classes = class_labels(real, fake)
    manifest = layout.ManifestBuilder(folder, folder.resolve().name)
    for inner, folder_split in split_folders(folder, classes):
        if folder_split and (split or fractions):
            option = "split" if split else "fractions"
            raise layout.BadLayout(f"{folder} has folders for its splits, such as {inner.name}: leave out --{option}")
        folders_are: Inner = "methods" if folders == "methods" else "videos"
        own = folder_split or split or SplitName.TEST
        add_classes(manifest, inner, own, folders_are=folders_are, classes=classes)
    frame = manifest.table("folder")
    if group:
        frame["group"] = groups_in(frame["path"].tolist(), group)
    return divided(frame, fractions) if fractions else frame


def class_labels(real: Sequence[str], fake: Sequence[str]) -> dict[str, int]:
    """Labels by the names of classes in lower case; ``real`` and ``fake`` where no names are given.

    Raises:
        InvalidValue: for a name that is given for both.
    """
    real, fake = ([name.lower() for name in names] for names in (real or ["real"], fake or ["fake"]))
    if both := set(real) & set(fake):
        raise InvalidValue(f"the class {min(both)} is both real and fake: give each class once")
    return dict.fromkeys(real, 0) | dict.fromkeys(fake, 1)


def list_videos(folder: Path) -> list[layout.Video]:
    """All videos in ``real`` and ``fake``; the frames of each go into a folder beside it that has its name."""
    return [
        layout.Video(path=path, frames=path.with_suffix("").relative_to(folder), label=label)
        for inner, _ in split_folders(folder)
        for class_folder, label in _class_folders(inner, CLASSES)
        for path in layout.files_below(class_folder, layout.videos)
    ]


def split_folders(folder: Path, classes: Mapping[str, int] = CLASSES) -> Iterator[tuple[Path, SplitName | None]]:
    """The folders that have classes in them, each with its split; no split if it is ``folder`` itself.

    Raises:
        BadLayout: if there are no such folders.
    """
    if list(_class_folders(folder, classes)):
        yield folder, None
        return
    inner_folders = layout.subfolders(folder)
    folders = [f for f in inner_folders if f.name.lower() in SPLIT_FOLDERS and list(_class_folders(f, classes))]
    if not folders:
        raise layout.BadLayout(f"{folder} has neither {' and '.join(classes)} in it, nor in folders train, val or test")
    for inner in folders:
        yield inner, SPLIT_FOLDERS[inner.name.lower()]


def add_classes(
    manifest: layout.ManifestBuilder,
    folder: Path,
    split: SplitName,
    *,
    folders_are: Inner,
    classes: Mapping[str, int] = CLASSES,
) -> None:
    """Add the images in the folders of ``classes`` in ``folder``, whose own folders are methods or videos."""
    are_methods = sum(classes.values()) > 1
    for class_folder, label in _class_folders(folder, classes):
        for image in layout.files_below(class_folder, layout.images):
            inner = image.relative_to(class_folder).parent.parts
            name = f"{class_folder.name.lower()}/{'/'.join(inner)}"
            if not inner or folders_are == "methods":  # the image is its own video
                name = f"{split}/{name}/{image.stem}".replace("//", "/")
            has_method = len(inner) > 1 or (inner and folders_are == "methods")
            method = class_folder.name if are_methods else inner[0] if has_method else layout.UNKNOWN
            manifest.add(image, label, method=method, video=name, split=split)


def _class_folders(folder: Path, classes: Mapping[str, int]) -> Iterator[tuple[Path, int]]:
    for inner in layout.subfolders(folder):
        if inner.name.lower() in classes:
            yield inner, classes[inner.name.lower()]
