"""The Deepfake Detection Challenge's data set, and its preview.

Source: Dolhansky et al., "The DeepFake Detection Challenge (DFDC) Dataset", 2020, and "… Preview Dataset", 2019. The
training set has ``dfdc_train_part_N/metadata.json`` {file: {label: REAL or FAKE, split, original}}, the test set has
``labels.csv`` (filename, label; fake = 1), and the preview has ``dataset.json`` {file: {label: real or fake, set}}.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers.layout import (
    UNKNOWN,
    BadLayout,
    ManifestBuilder,
    Video,
    frames_beside,
    frames_of,
    read_json_object,
    read_text,
)

DATASET, PREVIEW = "DFDC", "DFDC preview"

METADATA = ("metadata.json", "*/metadata.json", "*/*/metadata.json")
LABELS = ("labels.csv", "*/labels.csv")
ANNOTATIONS = ("dataset.json", *METADATA, *LABELS)
"""Patterns of the files beside the videos that an import needs."""

SPLIT_NAMES = {split.value: split for split in SplitName} | {"validation": SplitName.VAL}
"""Splits by the names that the files give them."""


@dataclass(frozen=True, kw_only=True)
class _ListedVideo:
    """A video that a file lists."""

    path: Path
    label: int
    split: SplitName
    method: str = UNKNOWN
    dataset: str = DATASET


def load(folder: Path) -> pd.DataFrame:
    """DFDC: the parts of its training set are ``train``, and the videos in labels.csv ``test``; there is no ``val``.

    DFDC does not say how a fake was made. Its preview does, by the methods ``method_A`` and ``method_B``.

    Raises:
        BadLayout: without frames, without any file of labels, and for an invalid label.
    """
    manifest = ManifestBuilder(folder, DATASET)
    for video in _listed(folder):
        manifest.add_frames(
            frames_of(video.path),
            video.label,
            method=video.method,
            video=video.path.relative_to(folder).with_suffix("").as_posix(),
            split=video.split.value,
            dataset=video.dataset,
        )
    return manifest.table("dfdc")


def list_videos(folder: Path) -> list[Video]:
    """All listed videos whose files exist."""
    return [
        Video(path=video.path, frames=frames_beside(video.path).relative_to(folder), label=video.label)
        for video in _listed(folder)
        if video.path.is_file()
    ]


def _listed(folder: Path) -> Iterator[_ListedVideo]:
    preview = folder / "dataset.json"
    if preview.is_file():
        yield from _preview(preview)
        return
    labels = sorted(path for pattern in LABELS for path in folder.glob(pattern))
    metadata = sorted(path for pattern in METADATA for path in folder.glob(pattern))
    if not labels and not metadata:
        raise BadLayout(
            f"{folder} has no labels: expected dfdc_train_part_N/metadata.json, labels.csv (test) "
            f"or dataset.json (preview)"
        )
    for path in labels:
        yield from _test(path)
    tested = {path.parent for path in labels}
    for path in metadata:
        if path.parent not in tested:  # the metadata.json of the test set has another form
            yield from _training(path)


def _training(path: Path) -> Iterator[_ListedVideo]:
    for file, facts in read_json_object(path).items():
        label = _label(path, file, facts.get("label"), {"REAL": 0, "FAKE": 1})
        split = _split(path, file, facts.get("split", "train"))
        yield _ListedVideo(path=_inside(path.parent, file, path), label=label, split=split)


def _test(path: Path) -> Iterator[_ListedVideo]:
    # The videos are in the folder test beside labels.csv, or in its own folder.
    inner = path.parent / "test"
    base = inner if inner.is_dir() else path.parent
    reader = csv.DictReader(io.StringIO(read_text(path)))
    if not {"filename", "label"} <= set(reader.fieldnames or ()):
        raise BadLayout(f"{path}: expected the columns filename and label, got {', '.join(reader.fieldnames or ())}")
    for row in reader:
        label = _label(path, row["filename"], row["label"], {"0": 0, "1": 1})
        yield _ListedVideo(path=_inside(base, row["filename"], path), label=label, split=SplitName.TEST)


def _preview(path: Path) -> Iterator[_ListedVideo]:
    for file, facts in read_json_object(path).items():
        label = _label(path, file, facts.get("label"), {"real": 0, "fake": 1})
        split = _split(path, file, facts.get("set"))
        yield _ListedVideo(
            path=_inside(path.parent, file, path),
            label=label,
            split=split,
            method=Path(file).parts[0],
            dataset=PREVIEW,
        )


def _inside(base: Path, file: str, path: Path) -> Path:
    """The path of ``file``, a name that ``path`` lists, in the folder ``base``."""
    if not file or Path(file).is_absolute() or ".." in Path(file).parts:
        raise BadLayout(f"{path}: expected files in {base}, got {file!r}")
    return base / file


def _label(path: Path, file: str, name: object, labels: dict[str, int]) -> int:
    if not isinstance(name, str) or name not in labels:
        raise BadLayout(f"{path}: the label of {file} must be {' or '.join(labels)}, got {name!r}")
    return labels[name]


def _split(path: Path, file: str, name: object) -> SplitName:
    if not isinstance(name, str) or name not in SPLIT_NAMES:
        raise BadLayout(f"{path}: the split of {file} must be one of {', '.join(SPLIT_NAMES)}, got {name!r}")
    return SPLIT_NAMES[name]
