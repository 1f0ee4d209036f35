"""Importers: what a data set's folder has, as a manifest's table. Every one converts to fake = 1."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sfic_bench.data.importers import celebdf, deepfakebench, dfdc, ffpp, lists, plain
from sfic_bench.data.importers.layout import BadLayout, Video
from sfic_bench.errors import InvalidValue, UnknownName

__all__ = ["KINDS", "BadLayout", "Kind", "Video", "identities", "import_dataset", "kind_named"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A way that a data set lies in a folder.

    Attributes:
        load: from the folder to the table, whose paths are absolute or relative to the folder.
        what: said in a list of kinds.
        options: keyword arguments that ``load`` takes.
        videos: lists the videos that faces can be taken out of; ``None`` if the data set has images alone.
        annotations: patterns of files that an import needs beside the frames.
    """

    load: Callable[..., pd.DataFrame]
    what: str
    options: frozenset[str] = frozenset()
    videos: Callable[[Path], list[Video]] | None = None
    annotations: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "ffpp": Kind(
        load=ffpp.load,
        what="FaceForensics++, its official split",
        videos=ffpp.list_videos,
        annotations=ffpp.ANNOTATIONS,
    ),
    "ffpp-image-level": Kind(
        load=ffpp.load_image_level, what="FaceForensics++, the paper's 5:1 split of images, which leaks"
    ),
    "dfdc": Kind(
        load=dfdc.load,
        what="DFDC or its preview",
        videos=dfdc.list_videos,
        annotations=dfdc.ANNOTATIONS,
    ),
    "celebdf": Kind(
        load=celebdf.load,
        what="Celeb-DF v1 or v2",
        videos=celebdf.list_videos,
        annotations=celebdf.ANNOTATIONS,
    ),
    "hff": Kind(load=lists.load_hff, what="HFF, its lists or folders"),
    "released": Kind(
        load=lists.load_released, what="text lists of the released code", options=frozenset(("fake_label",))
    ),
    "deepfakebench": Kind(load=deepfakebench.load, what="JSON files of DeepfakeBench"),
    "folder": Kind(
        load=plain.load,
        what="folders real and fake",
        options=frozenset(("split",)),
        videos=plain.list_videos,
    ),
}
"""By name."""


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UnknownName: if there is none.
    """
    if name not in KINDS:
        raise UnknownName("kind of data set", name, KINDS)
    return KINDS[name]


def import_dataset(
    kind: str, folder: Path, *, fake_label: int | None = None, split: str | None = None
) -> pd.DataFrame:
    """The table of the data set in ``folder``; what a person should know of it is in ``attrs["notes"]``.

    Args:
        kind: one of `KINDS`.
        folder: the data set's.
        fake_label: for ``released``: the label that means fake.
        split: for ``folder``: the split of its images.

    Raises:
        UnknownName: for another kind.
        InvalidValue: for an option that the kind does not take.
        BadLayout: if the folder is not laid out as the kind says.
    """
    found = kind_named(kind)
    options = {"fake_label": fake_label, "split": split}
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in found.options:
            raise InvalidValue(f"--{name.replace('_', '-')} is not for {kind}, which says it itself")
    check_folder(kind, folder)
    return found.load(folder, **given)


def check_folder(kind: str, folder: Path) -> None:
    """Raise `BadLayout` if there is no such folder; DeepfakeBench's may be one file."""
    if not (folder.is_dir() or (kind == "deepfakebench" and folder.is_file())):
        raise BadLayout(f"there is no folder {folder}")


def identities(dataset: str, video: str) -> tuple[str, tuple[str, ...]]:
    """Who is in a video as far as its name tells, and among which data set's people; empty where it does not."""
    for start, people in (
        (ffpp.DATASET, ffpp.identities),
        (ffpp.DFD, ffpp.dfd_identities),
        ("Celeb-DF", celebdf.identities),
        ("orl", _orl),
    ):
        # A whole name, or one followed by a version or a remark; DFDC is not DFD.
        if dataset == start or dataset.startswith(f"{start} "):
            return start, people(video)
    return "", ()


def _orl(video: str) -> tuple[str, ...]:
    return (video.partition("-")[0],)
