"""Text lists with lines "PATH LABEL": those of HFF and of the released code.

Sources: HFF, the heterogeneous face forgery data, ``{split}/{fake,real}`` and lists where **fake is 0 and real is 1**; the
released code of the paper, whose lists do not say which label is fake, so that the caller must.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from sfic_bench.data.importers.layout import (
    COMPRESSIONS,
    UNKNOWN,
    BadLayout,
    Rows,
    read_text,
)
from sfic_bench.data.importers.plain import CLASSES, add_classes, split_folders
from sfic_bench.data.manifest import SPLITS
from sfic_bench.errors import InvalidValue

HFF_FAKE = 0
"""The label that means fake in the lists of HFF."""

METHODS = (
    "Deepfakes",
    "Face2Face",
    "FaceSwap",
    "NeuralTextures",
    "FaceShifter",
    "DeepFakeDetection",
    "Celeb-synthesis",
)
"""Folder names that say how a fake was made."""


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    label: int  # fake = 1
    place: str  # list and line, for errors
    split: str


def load_hff(folder: Path) -> pd.DataFrame:
    """HFF: by its lists, if there are any, else by its folders ``{split}/{fake,real}``.

    Below ``fake`` a folder is a method. Each image is a video of its own. The paper splits HFF 4:1; here it is split as
    its lists or folders are.

    Raises:
        BadLayout: if there is neither, or for a line that cannot be, or whose label contradicts a folder in its path.
    """
    if _lists(folder):
        return _from_lists(folder, "HFF", fake_label=HFF_FAKE, kind="hff")
    rows = Rows(folder, "HFF")
    for inner, split in split_folders(folder):
        add_classes(rows, inner, split, folders_are="methods")
    return rows.table("hff")


def load_released(folder: Path, *, fake_label: int | None = None) -> pd.DataFrame:
    """What the text lists ``*train*.txt``, ``*val*.txt`` and ``*test*.txt`` in ``folder`` name.

    The data set is called by the folder. An image's own folder is its video, unless it is called by a class or
    a split; its method and compression are those that a folder in its path is called by.

    Args:
        folder: has the lists; relative paths start from it.
        fake_label: the label that means fake, 0 or 1; the lists do not say it.

    Raises:
        InvalidValue: without ``fake_label``.
        BadLayout: as `load_hff`.
    """
    if fake_label not in (0, 1):
        raise InvalidValue(
            f"lists of the released code do not say which label is fake; give --fake-label 0 or 1, got {fake_label}"
        )
    return _from_lists(folder, folder.resolve().name, fake_label=fake_label, kind="released")


def _from_lists(folder: Path, dataset: str, *, fake_label: int, kind: str) -> pd.DataFrame:
    lists = _lists(folder)
    if not lists:
        raise BadLayout(f"{folder} has no lists: expected text files with train, val or test in their names")
    rows = Rows(folder, dataset)
    seen: dict[str, _Line] = {}
    repeated = 0
    for path, split in lists:
        for line in _lines(path, split, fake_label):
            first = seen.setdefault(line.path, line)
            if first is line:
                _add(rows, line, alone=kind == "hff")
            elif (first.split, first.label) == (split, line.label):
                repeated += 1
            else:
                raise BadLayout(
                    f"{line.place}: {line.path} is in {first.place}, too, by another split or label"
                )
    if repeated:
        rows.notes.append(f"{repeated:,} lines repeat an image and were left out")
    return rows.table(kind)


def _lists(folder: Path) -> list[tuple[Path, str]]:
    """Lists and the splits in their names."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        splits = set(re.findall("|".join(SPLITS), path.stem.lower()))
        if len(splits) > 1:
            raise BadLayout(f"{path}: its name has more than one of {', '.join(SPLITS)}; rename it")
        found += [(path, split) for split in splits]
    return found


def _lines(path: Path, split: str, fake_label: int) -> Iterator[_Line]:
    for number, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        place = f"{path}, line {number}"
        image, label = (*text.rsplit(maxsplit=1), "")[:2]  # a path may have spaces
        if label not in ("0", "1"):
            raise BadLayout(f"{place}: expected 'PATH LABEL' with a label 0 or 1, got {text.strip()!r}")
        image = image.strip().replace("\\", "/")
        fake = int(int(label) == fake_label)
        said = {CLASSES[part] for part in image.lower().split("/") if part in CLASSES}
        if said and fake not in said:
            raise BadLayout(
                f"{place}: label {label} means {'fake' if fake else 'real'} here, since fake is {fake_label}, "
                f"but the path says otherwise: {image}"
            )
        yield _Line(image, fake, place, split)


def _add(rows: Rows, line: _Line, *, alone: bool) -> None:
    path = PurePosixPath(line.path)
    parts = path.parent.parts
    alone = alone or not parts or parts[-1].lower() in (*CLASSES, *SPLITS, *COMPRESSIONS)
    rows.add(
        line.path,
        line.label,
        method=next((p for p in parts if p in METHODS), UNKNOWN),
        video=str(path.with_suffix("") if alone else path.parent),
        split=line.split,
        compression=next((p for p in parts if p in COMPRESSIONS), ""),
    )
