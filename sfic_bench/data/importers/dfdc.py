"""The Deepfake Detection Challenge's data set, and its preview.

Source: Dolhansky et al., "The DeepFake Detection Challenge (DFDC) Dataset", 2020, and "… Preview Dataset", 2019. The
training set has ``dfdc_train_part_N/metadata.json`` {file: {label: REAL or FAKE, split, original}}, the test set has
``labels.csv`` (filename, label; fake = 1), and the preview has ``dataset.json`` {file: {label: real or fake, set}}.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers import layout

DATASET, PREVIEW = "DFDC", "DFDC preview"

METADATA = ("metadata.json", "*/metadata.json", "*/*/metadata.json")
LABELS = ("labels.csv", "*/labels.csv")
ANNOTATIONS = ("dataset.json", *METADATA, *LABELS)
"""Patterns of the files beside the videos that an import needs."""

SPLIT_NAMES = {split.value: split for split in SplitName} | {"validation": SplitName.VAL}
"""Splits by the names that the files give them."""

Listed = tuple[Path, int, dict[str, str]]
"""A listed video: its file, its label, and the columns split, method and dataset of its rows."""

Value = TypeVar("Value")


def load(folder: Path) -> pd.DataFrame:
    """DFDC: the parts of its training set are ``train``, and the videos in labels.csv ``test``; there is no ``val``.

    DFDC does not say how a fake was made. Its preview does, by the methods ``method_A`` and ``method_B``.

    Raises:
        BadLayout: without frames, without any file of labels, and for an invalid label.
    """
    manifest = layout.ManifestBuilder(folder, DATASET)
    for path, label, columns in _listed_videos(folder):
        name = path.with_suffix("")
        frames = name if name.is_dir() else layout.frames_beside(path)
        manifest.add_frames(frames, label, video=name.relative_to(folder).as_posix(), **columns)
    return manifest.table("dfdc")


def list_videos(folder: Path) -> list[layout.Video]:
    """All listed videos whose files exist."""
    return [
        layout.Video(path=path, frames=layout.frames_beside(path).relative_to(folder), label=label)
        for path, label, _ in _listed_videos(folder)
        if path.is_file()
    ]


def _listed_videos(folder: Path) -> Iterator[Listed]:
    preview = folder / "dataset.json"
    if preview.is_file():
        yield from _in_json(preview, is_preview=True)
        return
    labels = sorted(path for pattern in LABELS for path in folder.glob(pattern))
    metadata = sorted(path for pattern in METADATA for path in folder.glob(pattern))
    if not labels and not metadata:
        raise layout.BadLayout(
            f"{folder} has no labels: expected dfdc_train_part_N/metadata.json, labels.csv (test) "
            f"or dataset.json (preview)"
        )
    for path in labels:
        yield from _in_csv(path)
    test_folders = {path.parent for path in labels}
    for path in metadata:
        if path.parent not in test_folders:  # the metadata.json of the test set has another form
            yield from _in_json(path, is_preview=False)


def _in_json(path: Path, *, is_preview: bool) -> Iterator[Listed]:
    """The videos in the metadata of a part of the training set, or in the preview's list."""
    labels = {"real": 0, "fake": 1} if is_preview else {"REAL": 0, "FAKE": 1}
    videos = layout.read_json(path, dict[str, dict[str, object]], "a JSON object with an object for each video")
    for file, facts in videos.items():
        video = _inside(path.parent, file, path)
        label = _meaning(facts.get("label"), labels, f"{path}: the label of {file}")
        split_name = facts.get("set") if is_preview else facts.get("split", "train")
        split = _meaning(split_name, SPLIT_NAMES, f"{path}: the split of {file}")
        method, dataset = (Path(file).parts[0], PREVIEW) if is_preview else (layout.UNKNOWN, DATASET)
        yield video, label, {"split": split, "method": method, "dataset": dataset}


def _in_csv(path: Path) -> Iterator[Listed]:
    """The videos of the test set, which are in the folder ``test`` beside its labels, or in the labels' own folder."""
    inner = path.parent / "test"
    base = inner if inner.is_dir() else path.parent
    reader = csv.DictReader(io.StringIO(layout.read_text(path)))
    columns = reader.fieldnames or ()
    if not {"filename", "label"} <= set(columns):
        raise layout.BadLayout(f"{path}: expected the columns filename and label, got {', '.join(columns)}")
    for row in reader:
        label = _meaning(row["label"], {"0": 0, "1": 1}, f"{path}: the label of {row['filename']}")
        yield _inside(base, row["filename"], path), label, {"split": SplitName.TEST, "method": layout.UNKNOWN}


def _inside(base: Path, file: str, path: Path) -> Path:
    """The path of ``file``, a name that ``path`` lists, in the folder ``base``."""
    if not file or Path(file).is_absolute() or ".." in Path(file).parts:
        raise layout.BadLayout(f"{path}: expected files in {base}, got {file!r}")
    return base / file


def _meaning(name: object, meanings: Mapping[str, Value], place: str) -> Value:
    """The meaning of a label's or a split's ``name`` at a ``place`` of a file."""
    if not isinstance(name, str) or name not in meanings:
        raise layout.BadLayout(f"{place} must be one of {', '.join(meanings)}, got {name!r}")
    return meanings[name]
