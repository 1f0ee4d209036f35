"""Text lists with lines "PATH LABEL", as HFF and the released code have them.

HFF, the heterogeneous face forgery data, has folders ``{split}/{fake,real}`` and lists where **fake is 0 and real is
1**. The lists of the paper's released code do not say which label is fake, so that the caller must say it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers import celebdf, ffpp
from sfic_bench.data.importers.layout import COMPRESSIONS, UNKNOWN, BadLayout, ManifestBuilder, read_text
from sfic_bench.data.importers.plain import CLASSES, add_classes, split_folders
from sfic_bench.errors import InvalidValue

HFF_FAKE = 0
"""The label that means fake in the lists of HFF."""

METHODS = (*ffpp.PAPER_METHODS, "FaceShifter", "DeepFakeDetection", celebdf.METHOD)
"""Names of folders that say how a fake was made."""

NO_VIDEOS = (*CLASSES, *SplitName, *COMPRESSIONS)
"""Names of folders, in lower case, that are no videos."""


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    label: int
    place: str  # the list and the number of the line, which errors name
    split: SplitName


def load_hff(folder: Path) -> pd.DataFrame:
    """HFF by its lists if it has any, else by its folders ``{split}/{fake,real}``.

    A folder in ``fake`` is a method. Every image is a video of its own. The paper splits HFF 4:1; this importer keeps
    the split of the lists or folders.

    Raises:
        BadLayout: without lists and folders, for an invalid line, and for a label that contradicts its path.
    """
    if _lists(folder):
        return _from_lists(folder, "HFF", fake_label=HFF_FAKE, kind="hff")
    manifest = ManifestBuilder(folder, "HFF")
    for inner, split in split_folders(folder):
        if split is None:
            raise BadLayout(f"{folder} has no folders for splits: expected train, val or test around real and fake")
        add_classes(manifest, inner, split, folders_are="methods")
    return manifest.table("hff")


def load_released(folder: Path, *, fake_label: int | None = None) -> pd.DataFrame:
    """The images that the text lists ``*train*.txt``, ``*val*.txt`` and ``*test*.txt`` in ``folder`` name.

    The data set has the name of the folder. The folder of an image is its video, unless it has the name of a class, a
    split or a compression; then every image is a video of its own. A folder in the path may name the method, and
    another the compression.

    Args:
        folder: the folder of the lists, from which relative paths start.
        fake_label: the label that means fake, 0 or 1.

    Raises:
        InvalidValue: without ``fake_label``.
        BadLayout: without lists, for an invalid line, and for a label that contradicts its path.
    """
    if fake_label not in (0, 1):
        raise InvalidValue(f"the lists do not say which label is fake; give --fake-label 0 or 1, got {fake_label}")
    return _from_lists(folder, folder.resolve().name, fake_label=fake_label, kind="released")


def _from_lists(folder: Path, dataset: str, *, fake_label: int, kind: str) -> pd.DataFrame:
    lists = _lists(folder)
    if not lists:
        raise BadLayout(f"{folder} has no lists: expected text files with train, val or test in their names")
    manifest = ManifestBuilder(folder, dataset)
    first_lines: dict[str, _Line] = {}  # by path
    repeated = 0
    for path, split in lists:
        for line in _lines(path, split, fake_label):
            first = first_lines.setdefault(line.path, line)
            if first is line:
                image = PurePosixPath(line.path)
                folders = image.parent.parts
                is_own_video = kind == "hff" or not folders or folders[-1].lower() in NO_VIDEOS
                manifest.add(
                    line.path,
                    line.label,
                    method=next((name for name in folders if name in METHODS), UNKNOWN),
                    video=str(image.with_suffix("") if is_own_video else image.parent),
                    split=split,
                    compression=next((name for name in folders if name in COMPRESSIONS), ""),
                )
            elif (first.split, first.label) == (split, line.label):
                repeated += 1
            else:
                raise BadLayout(f"{line.place}: {line.path} is also in {first.place}, by another split or label")
    if repeated:
        manifest.notes.append(f"{repeated:,} lines repeat an image and were left out")
    return manifest.table(kind)


def _lists(folder: Path) -> list[tuple[Path, SplitName]]:
    """The lists in ``folder``, each with the split that its name contains."""
    lists = []
    for path in sorted(folder.glob("*.txt")):
        splits = set(re.findall("|".join(SplitName), path.stem.lower()))
        if len(splits) > 1:
            raise BadLayout(f"{path}: its name has more than one of {', '.join(SplitName)}; rename it")
        lists += [(path, SplitName(split)) for split in splits]
    return lists


def _lines(path: Path, split: SplitName, fake_label: int) -> Iterator[_Line]:
    for number, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        place = f"{path}, line {number}"
        image, label = (*text.rsplit(maxsplit=1), "")[:2]  # a path may have spaces
        if label not in ("0", "1"):
            raise BadLayout(f"{place}: expected 'PATH LABEL' with a label 0 or 1, got {text.strip()!r}")
        image = image.strip().replace("\\", "/")
        fake = int(int(label) == fake_label)
        path_labels = {CLASSES[part] for part in image.lower().split("/") if part in CLASSES}
        if path_labels and fake not in path_labels:
            raise BadLayout(
                f"{place}: label {label} means {'fake' if fake else 'real'} here, since fake is {fake_label}, "
                f"but the path says otherwise: {image}"
            )
        yield _Line(image, fake, place, split)
