"""A data set of Hugging Face's ``datasets``, whose images are written into files, since a manifest names files.

A file has the bytes that the data set has, and its name follows from its place and its content. So an import that was
killed goes on where it was, and a second one writes nothing.
"""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.images import DECODERS
from sfic_bench.data.importers import layout
from sfic_bench.data.importers.grouping import SeededSplit, divided
from sfic_bench.data.importers.plain import SPLIT_FOLDERS, class_labels
from sfic_bench.errors import InvalidValue, MissingDependency, UnknownName, first_line
from sfic_bench.extras import install_command
from sfic_bench.files import UnwritableOutput, read_file, remove_unfinished, write_bytes_atomically

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("image", "label", "method", "video", "group")
"""What a column of the data set can be for a manifest; the first two are needed."""

SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
"""The endings of files by Pillow's name of the format, where it is not the name itself."""


def load(
    folder: Path,
    *,
    images: Path | None = None,
    columns: Mapping[str, str] | None = None,
    subset: str | None = None,
    real: Sequence[str] = (),
    fake: Sequence[str] = (),
    split: SplitName | None = None,
    fractions: SeededSplit | None = None,
) -> pd.DataFrame:
    """The images of a data set, which are written into the folder ``images``; paths are relative to it.

    Args:
        folder: what ``save_to_disk`` wrote, a folder of Parquet or other files that ``load_dataset`` understands, or
            the name of a data set on the Hub, with ``@revision`` if it is not the newest.
        images: the folder for the images; it is made if it is missing.
        columns: the data set's columns by what they are, see `COLUMNS`; by default ``image`` and ``label``.
        subset: one of the data set's configurations.
        real: labels of real images, by the data set's own names for them, or numbers, or ``true`` and ``false``;
            ``real`` if not given.
        fake: labels of fakes, ``fake`` if not given. With several each is a method, unless a column says it.
        split: the split of all images, for a data set that has only one.
        fractions: divides the images of such a data set at random instead, by groups.

    Raises:
        InvalidValue: without ``images``, and for options that the data set does not fit.
        UnknownName: for a column that the data set lacks.
        BadLayout: if the data set cannot be read, a label is of no class, or a split has another name.
        UnwritableOutput: if an image cannot be written.
        MissingDependency: without the package datasets.
    """
    if images is None:
        raise InvalidValue("a manifest names files: give a folder that the images are written into, --images DIR")
    if split and fractions:
        raise InvalidValue("--split gives all images one split, and --fractions divides them: leave one out")
    used = {"image": "image", "label": "label", **(columns or {})}
    if unknown := [name for name in used if name not in COLUMNS]:
        raise UnknownName("use of a column", unknown[0], COLUMNS)
    classes = class_labels(real, fake)
    parts = _parts(folder, subset)
    if len(parts) > 1 and (split or fractions):
        option = "split" if split else "fractions"
        raise InvalidValue(f"{folder} has the splits {', '.join(parts)}: leave out --{option}")
    sources = [
        _Source(
            name=name, dataset=part, columns=used, classes=classes, folder=images, split=_split(name, split, fractions)
        )
        for name, part in parts.items()
    ]
    manifest = layout.ManifestBuilder(images, folder.name.partition("@")[0])
    groups: dict[str, str] = {}
    for source in sources:
        groups |= source.add_to(manifest)
    frame = manifest.table("hf")
    if "group" in used:
        frame["group"] = frame["path"].map(groups)
    return divided(frame, fractions) if fractions else frame


def _parts(folder: Path, subset: str | None) -> "dict[str, Dataset]":
    """The data set's splits by their names."""
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingDependency(f"importing from Hugging Face needs {error.name}: {install_command('hf')}") from None
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            read = datasets.load_from_disk(str(folder))
        elif folder.is_dir():
            read = datasets.load_dataset(str(folder), subset)
        else:
            name, _, revision = str(folder).partition("@")
            read = datasets.load_dataset(name, subset, revision=revision or None)
    except Exception as error:  # readers of many formats and clients of the Hub raise almost anything
        place = "" if folder.exists() else ", which is neither a folder nor can be fetched from the Hub"
        raise layout.BadLayout(f"cannot read {folder}{place}: {type(error).__name__}: {first_line(error)}") from None
    parts = dict(read) if isinstance(read, datasets.DatasetDict) else {str(read.split or "all"): read}
    for part in parts:
        if not re.fullmatch(r"\w[\w.-]*", part):  # it becomes the name of a folder
            raise layout.BadLayout(f"{folder} has a split whose name is no word: {part!r}")
    return parts


def _split(name: str, split: SplitName | None, fractions: SeededSplit | None) -> SplitName:
    if fractions:
        return SplitName.TRAIN  # until the images are divided
    own = split or SPLIT_FOLDERS.get(name.lower())
    if own is None:
        raise layout.BadLayout(
            f"the split {name!r} is none of {', '.join(SPLIT_FOLDERS)}: give --split or --fractions, or rename it"
        )
    return own


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One split of a data set, whose columns and labels are checked before anything is written."""

    name: str
    dataset: "Dataset"
    columns: Mapping[str, str]
    classes: Mapping[str, int]
    folder: Path
    split: SplitName
    class_of: dict[object, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.columns.values():
            if column not in self.dataset.column_names:
                raise UnknownName(f"column of the split {self.name}", column, self.dataset.column_names)
        feature = self.dataset.features[self.columns["label"]]
        for value in self.dataset.unique(self.columns["label"]):
            name = feature.int2str(value) if hasattr(feature, "int2str") and isinstance(value, int) else str(value)
            if name.lower() not in self.classes:
                raise layout.BadLayout(
                    f"the split {self.name} has the label {name!r}, expected {', '.join(self.classes)}: name the "
                    "labels of each class by --real and --fake"
                )
            self.class_of[value] = name

    def add_to(self, manifest: layout.ManifestBuilder) -> dict[str, str]:
        """Write the images and add their rows; returns the group of each path."""
        folder = self.folder / self.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make {folder}: {error.strerror or error}") from None
        remove_unfinished(folder)
        are_methods, groups, unreadable = sum(self.classes.values()) > 1, {}, []
        for number, row in enumerate(self._rows()):
            data = _bytes(row["image"])
            suffix = "" if data is None else _suffix(data)
            if data is None or not suffix:
                unreadable.append(number)
                continue
            path = folder / f"{number:08}-{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
            if not path.exists():
                write_bytes_atomically(path, data)
            class_name = self.class_of[row["label"]]
            label = self.classes[class_name.lower()]
            method = str(row.get("method") or (class_name if are_methods else layout.UNKNOWN))
            video = row.get("video")
            own = f"{self.name}/{number:08}" if video in (None, "") else f"{method if label else 'real'}/{video}"
            manifest.add(path, label, method=method, video=own, split=self.split)
            groups[path.relative_to(self.folder).as_posix()] = str("" if row.get("group") is None else row["group"])
        if unreadable:
            manifest.notes.append(
                f"{len(unreadable):,} rows of {self.name} have no image that can be read, the first {unreadable[0]}"
            )
        return groups

    def _rows(self) -> Iterator[dict[str, object]]:
        from datasets import Image

        image = self.columns["image"]
        # Undecoded, so that the files have the pixels of the data set and no trace of a second compression.
        chosen = self.dataset.select_columns(sorted(set(self.columns.values()))).cast_column(image, Image(decode=False))
        for row in chosen:
            yield {use: row[column] for use, column in self.columns.items()}


def _bytes(image: object) -> bytes | None:
    """The bytes of an undecoded image, which may lie in a file; ``None`` if there are none."""
    if not isinstance(image, dict):
        return None
    if image["bytes"] is not None:
        return cast(bytes, image["bytes"])
    try:
        return read_file(Path(image["path"]))
    except (OSError, TypeError):
        return None


def _suffix(data: bytes) -> str:
    """The ending of a file with this image; ``""`` for no image of a known format."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=DECODERS) as image:
            return SUFFIXES.get(str(image.format), f".{image.format}".lower())
    except (OSError, ValueError, SyntaxError):
        return ""
