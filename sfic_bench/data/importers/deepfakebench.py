"""The JSON files of DeepfakeBench.

Source: Yan et al., "DeepfakeBench", NeurIPS 2023, and its repository SCLBD/DeepfakeBench: data set → class (FF-real,
FF-DF, CelebDFv2_fake, …) → train, val or test → compression (only FaceForensics++) → video → {label, frames, masks}.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from msgspec import Struct, ValidationError, convert

from sfic_bench.data.choices import SplitName
from sfic_bench.data.databases import BadDatabase, read_entry
from sfic_bench.data.importers.layout import COMPRESSIONS, BadLayout, ManifestBuilder, read_json

METHODS = {
    "FF-DF": "Deepfakes", "FF-F2F": "Face2Face", "FF-FS": "FaceSwap", "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter", "DFD_fake": "DeepFakeDetection",
    "CelebDFv1_fake": "Celeb-synthesis", "CelebDFv2_fake": "Celeb-synthesis",
}  # fmt: skip
"""Methods by class; the name of any other class of fakes is its method."""

DATASETS = {"FF": "FF++", "FaceForensics++": "FF++", "FaceShifter": "FF++", "DeepFakeDetection": "DFD"}
DATASETS |= {name: "FF++" for name in METHODS if name.startswith("FF-")}
DATASETS |= {f"Celeb-DF-v{version}": f"Celeb-DF v{version}" for version in (1, 2)}
"""The names that the other importers give to the same data sets."""

SOURCES = {"FF-real": "youtube", "DFD_real": "actors"}
"""Where the videos of a class of real ones are from."""

PRECEDENCE = (SplitName.TEST, SplitName.TRAIN, SplitName.VAL)
"""A video in several splits stays in the first of these, so that nothing that is tested is trained on."""

FORM = "DeepfakeBench's data set → class → train, val or test → video"


class FramesAndMasks(Struct, frozen=True):
    """What a file says of a video."""

    frames: tuple[str, ...]
    masks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchVideo:
    """A video that a file lists, with the columns of its rows."""

    label: int
    split: SplitName
    columns: dict[str, str]
    frames: list[str]
    masks: list[str]


def load(folder: Path, lmdb: Path | None = None) -> pd.DataFrame:
    """The images that the JSON files in ``folder`` name, or those of one file if ``folder`` is a file.

    These files list many videos twice: Celeb-DF's test videos are also in ``train`` and ``val``, and DFDC's training
    videos are also in ``val``. Such a video is in ``test`` if any file says so, else in ``train``; a note says how
    many there are. The mask of a fake has the file name of its frame. Paths may have backslashes, and start from one of
    `ROOTS`, whichever has the first image, or lead through a database, see `sfic_bench.data.databases`.

    Args:
        folder: the folder of the JSON files, or one of them.
        lmdb: the folder of the databases ``NAME_lmdb``, where the images are not files.

    Raises:
        BadLayout: without JSON files, for a class of unknown label, for frames that are no list of paths, and for a
            database that is not there or does not have the first image.
        MissingDependency: for databases without the package lmdb.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.json"))
    base = folder.parent if folder.is_file() else folder
    if not files:
        raise BadLayout(f"{folder} has no JSON files; expected those of DeepfakeBench, such as FF-DF.json")
    listed = [video for file in files for video in _videos(file)]
    manifest = ManifestBuilder(base, "")
    first = next((video.frames[0] for video in listed if video.frames), "")
    located = _in_files(base, first) if lmdb is None else _in_databases(lmdb, first)
    split_of: dict[str, SplitName] = {}  # by frame
    moved = 0
    for video in sorted(listed, key=lambda video: PRECEDENCE.index(video.split)):
        is_moved = False
        masks = {mask.rpartition("/")[2]: mask for mask in video.masks}
        for frame in video.frames:
            if frame in split_of:
                is_moved |= split_of[frame] != video.split
                continue
            split_of[frame] = video.split
            mask = masks.get(frame.rpartition("/")[2], "")
            mask = located(mask) if mask and video.label else ""
            manifest.add(located(frame), video.label, mask=mask, split=video.split, **video.columns)
        moved += is_moved
    if moved:
        manifest.notes.append(f"{moved:,} videos are in several splits; test keeps them, else train")
    return manifest.table("deepfakebench")


def _label(class_name: str) -> int:
    lower = class_name.lower()
    if lower.endswith("real"):
        return 0
    if "fake" in lower or class_name in METHODS:
        return 1
    raise BadLayout(
        f"class {class_name!r} does not say whether it is real or fake; expected such as FF-real, FF-DF, X_fake"
    )


def _videos(file: Path) -> Iterator[BenchVideo]:
    datasets = read_json(file, dict[str, dict[str, dict[SplitName, dict[str, object]]]], FORM)
    for dataset, classes in datasets.items():
        for class_name, splits in classes.items():
            label = _label(class_name)
            method = METHODS.get(class_name, class_name)
            source = SOURCES.get(class_name, method)
            for split, inner in splits.items():
                # DeepfakeBench's DFDC.json has a single video where the videos of the split should be. The test split
                # has this video, too.
                if isinstance(inner.get("frames"), list):
                    continue
                groups: dict[str, object] = inner if inner and set(inner) <= set(COMPRESSIONS) else {"": inner}
                for compression, videos in groups.items():
                    place = ", ".join(filter(None, (str(file), dataset, class_name, split, compression)))
                    columns = {
                        "dataset": DATASETS.get(dataset, dataset), "method": method, "compression": compression
                    }  # fmt: skip
                    for name, video in _frames_and_masks(videos, place).items():
                        yield BenchVideo(
                            label=label,
                            split=split,
                            columns={**columns, "video": "/".join(filter(None, (source, compression, name)))},
                            frames=sorted(frame.replace("\\", "/") for frame in video.frames),
                            masks=sorted(mask.replace("\\", "/") for mask in video.masks),
                        )


def _frames_and_masks(videos: object, place: str) -> dict[str, FramesAndMasks]:
    try:
        return convert(videos, dict[str, FramesAndMasks])
    except ValidationError as error:
        raise BadLayout(f"{place}: expected videos with frames, a list of paths; {error}") from None


ROOTS = ("", "../", "rgb/", "../rgb/", "../../", "../../datasets/", "../../datasets/rgb/")
"""Where the paths of frames may start from, relative to the folder of the JSON files."""


def _in_files(base: Path, first: str) -> Callable[[str], str]:
    """A function that makes a frame's path relative to ``base``, by where the ``first`` frame is."""
    root = ""
    if first and not Path(first).is_absolute():
        root = next((root for root in ROOTS if (base / root / first).is_file()), "")
    return lambda frame: root + frame


def _in_databases(lmdb: Path, first: str) -> Callable[[str], str]:
    """A function that makes an absolute path through a database in ``lmdb`` of a frame's path."""
    folder = lmdb.absolute()

    def located(frame: str) -> str:
        name, _, rest = frame.removeprefix("./").removeprefix("datasets/").removeprefix("rgb/").partition("/")
        return f"{folder.as_posix()}/{name}_lmdb/{rest}"

    if first:
        path = Path(located(first))
        try:
            entry = read_entry(path)
        except BadDatabase as error:
            raise BadLayout(str(error)) from None
        if entry is None:
            raise BadLayout(f"no database in {lmdb} has {first}: expected {path.relative_to(folder).parts[0]} with it")
    return located
