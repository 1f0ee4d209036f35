"""The Deepfake Detection Challenge's data set, and its preview.

Source: Dolhansky et al., "The DeepFake Detection Challenge (DFDC) Dataset", 2020, and "… Preview Dataset", 2019, with their files:
``dfdc_train_part_N/metadata.json`` {file: {label: REAL or FAKE, split, original}}; of the test set ``labels.csv`` (filename,
label; fake = 1); of the preview ``dataset.json`` {file: {label: real or fake, set}}.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sfic_bench.data.importers.layout import (
    UNKNOWN,
    BadLayout,
    Rows,
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

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """A video that a file lists."""

    path: Path
    label: int
    split: str
    method: str = UNKNOWN
    dataset: str = DATASET


def load(folder: Path) -> pd.DataFrame:
    """DFDC: the parts of its training set are ``train``, what labels.csv lists is ``test``; it has no validation set.

    It does not say how a fake was made, other than the preview, whose methods are ``method_A`` and ``method_B``.

    Raises:
        BadLayout: without frames or any of the files that have labels, or for a label that they cannot have.
    """
    rows = Rows(folder, DATASET)
    for one in _listed(folder):
        rows.add_frames(
            frames_of(one.path),
            one.label,
            method=one.method,
            video=one.path.relative_to(folder).with_suffix("").as_posix(),
            split=one.split,
            dataset=one.dataset,
        )
    return rows.table("dfdc")


def list_videos(folder: Path) -> list[Video]:
    """All listed videos that are there."""
    return [
        Video(path=one.path, frames=frames_beside(one.path).relative_to(folder), label=one.label)
        for one in _listed(folder)
        if one.path.is_file()
    ]


def _listed(folder: Path) -> Iterator[_Listed]:
    preview = folder / "dataset.json"
    if preview.is_file():
        yield from _preview(preview)
        return
    labels = sorted(path for pattern in LABELS for path in folder.glob(pattern))
    metadata = sorted(path for pattern in METADATA for path in folder.glob(pattern))
    if not labels and not metadata:
        raise BadLayout(
            f"{folder} has no labels: expected dfdc_train_part_N/metadata.json, labels.csv (test) or dataset.json (preview)"
        )
    for path in labels:
        yield from _test(path)
    tested = {path.parent for path in labels}
    for path in metadata:
        if path.parent not in tested:  # the test set has another kind of metadata.json
            yield from _training(path)


def _training(path: Path) -> Iterator[_Listed]:
    for file, told in read_json_object(path).items():
        label = _label(path, file, told.get("label"), {"REAL": 0, "FAKE": 1})
        split = _split(path, file, told.get("split", "train"))
        yield _Listed(path=_inside(path.parent, file, path), label=label, split=split)


def _test(path: Path) -> Iterator[_Listed]:
    # Its folder of videos may be beside it or around it.
    inner = path.parent / "test"
    base = inner if inner.is_dir() else path.parent
    reader = csv.DictReader(io.StringIO(read_text(path)))
    if not {"filename", "label"} <= set(reader.fieldnames or ()):
        raise BadLayout(
            f"{path}: expected the columns filename and label, got {', '.join(reader.fieldnames or ())}"
        )
    for row in reader:
        label = _label(path, row["filename"], row["label"], {"0": 0, "1": 1})
        yield _Listed(path=_inside(base, row["filename"], path), label=label, split="test")


def _preview(path: Path) -> Iterator[_Listed]:
    for file, told in read_json_object(path).items():
        label = _label(path, file, told.get("label"), {"real": 0, "fake": 1})
        split = _split(path, file, told.get("set"))
        yield _Listed(
            path=_inside(path.parent, file, path),
            label=label,
            split=split,
            method=Path(file).parts[0],
            dataset=PREVIEW,
        )


def _inside(base: Path, file: str, path: Path) -> Path:
    """``file`` of ``base``, which is a name that ``path`` has."""
    if not file or Path(file).is_absolute() or ".." in Path(file).parts:
        raise BadLayout(f"{path}: expected files in {base}, got {file!r}")
    return base / file


def _label(path: Path, file: str, got: object, known: dict[str, int]) -> int:
    if not isinstance(got, str) or got not in known:
        raise BadLayout(f"{path}: the label of {file} must be {' or '.join(known)}, got {got!r}")
    return known[got]


def _split(path: Path, file: str, got: object) -> str:
    if not isinstance(got, str) or got not in SPLITS:
        raise BadLayout(f"{path}: the split of {file} must be one of {', '.join(SPLITS)}, got {got!r}")
    return SPLITS[got]
