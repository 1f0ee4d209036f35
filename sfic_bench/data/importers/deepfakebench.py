"""The JSON files of DeepfakeBench.

Source: Yan et al., "DeepfakeBench", NeurIPS 2023, and its repository SCLBD/DeepfakeBench: data set → class (FF-real,
FF-DF, CelebDFv2_fake, …) → train, val or test → compression (FaceForensics++ alone) → video → {label, frames, masks}.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers.layout import COMPRESSIONS, BadLayout, ManifestBuilder, read_json

DATASETS = {"FF": "FF++", "FaceForensics++": "FF++", "FaceShifter": "FF++", "DeepFakeDetection": "DFD"}
DATASETS |= {f"Celeb-DF-v{n}": f"Celeb-DF v{n}" for n in (1, 2)}
"""The names that the other importers give to the same data sets."""

METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "DFD_fake": "DeepFakeDetection",
    "CelebDFv1_fake": "Celeb-synthesis",
    "CelebDFv2_fake": "Celeb-synthesis",
}
"""Methods by class; the name of any other class of fakes is its method."""

SOURCES = {"FF-real": "youtube", "DFD_real": "actors"}
"""Where the videos of a class of real ones are from."""

PRECEDENCE = (SplitName.TEST, SplitName.TRAIN, SplitName.VAL)
"""A video in several splits stays in the first of these, so that nothing that is tested is trained on."""


@dataclass(frozen=True, slots=True)
class _ListedVideo:
    dataset: str
    class_name: str
    split: SplitName
    compression: str
    name: str
    frames: list[str]
    masks: list[str]


def load(folder: Path) -> pd.DataFrame:
    """The images that the JSON files in ``folder`` name, or those of one file if ``folder`` is a file.

    These files list many videos twice: Celeb-DF's test videos are also in ``train`` and ``val``, and DFDC's training
    videos are also in ``val``. Such a video is in ``test`` if any file says so, else in ``train``; a note says how
    many there are. The mask of a fake has the file name of its frame. Paths may have backslashes. They start from
    ``folder``, from the folder around it, or from ``rgb`` in either, whichever has the first image.

    Raises:
        BadLayout: without JSON files, for a class of unknown label, and for frames that are no list of paths.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.json"))
    base = folder.parent if folder.is_file() else folder
    if not files:
        raise BadLayout(f"{folder} has no JSON files; expected those of DeepfakeBench, such as FF-DF.json")
    listed = [video for file in files for video in _videos(file, read_json(file))]
    manifest = ManifestBuilder(base, "")
    root = _root(base, next((v.frames[0] for v in listed if v.frames), ""))
    split_of: dict[str, SplitName] = {}  # by frame
    moved = 0
    for video in sorted(listed, key=lambda v: PRECEDENCE.index(v.split)):
        label = _label(video.class_name)
        method = METHODS.get(video.class_name, video.class_name)
        middle = f"{video.compression}/" if video.compression else ""
        is_moved = False
        masks = {frame.rpartition("/")[2]: frame for frame in video.masks}
        for frame in video.frames:
            if frame in split_of:
                is_moved |= split_of[frame] != video.split
                continue
            split_of[frame] = video.split
            mask = masks.get(frame.rpartition("/")[2], "")
            manifest.add(
                root + frame,
                label,
                mask=root + mask if mask and label else "",
                method=method,
                video=f"{SOURCES.get(video.class_name, method)}/{middle}{video.name}",
                split=video.split.value,
                compression=video.compression,
                dataset=video.dataset,
            )
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


def _videos(file: Path, value: object) -> Iterator[_ListedVideo]:
    for dataset, classes in _items(value, file):
        for class_name, splits in _items(classes, file, dataset):
            _label(class_name)
            for split, inner in _items(splits, file, dataset, class_name):
                if split not in set(SplitName):
                    raise BadLayout(f"{file}, {dataset}, {class_name}: expected train, val and test, got {split!r}")
                # DeepfakeBench's DFDC.json has a single video where the videos of the split should be. The test split
                # has this video, too.
                if isinstance(inner, dict) and isinstance(inner.get("frames"), list):
                    continue
                groups: dict[str, object] = {"": inner}
                if isinstance(inner, dict) and inner and all(key in COMPRESSIONS for key in inner):
                    groups = inner
                for compression, videos in groups.items():
                    place = (dataset, class_name, split, *filter(None, [compression]))
                    for name, video in _items(videos, file, *place):
                        yield _ListedVideo(
                            _dataset(dataset),
                            class_name,
                            SplitName(split),
                            compression,
                            name,
                            frames=_paths(video, "frames", file, *place, name),
                            masks=_paths(video, "masks", file, *place, name),
                        )


def _items(value: object, file: Path, *place: str) -> list[tuple[str, object]]:
    """Keys and values of a JSON object; ``place`` says where in ``file`` it is."""
    if not isinstance(value, dict):
        raise BadLayout(f"{', '.join((str(file), *place))}: expected a JSON object, got {type(value).__name__}")
    return list(value.items())


def _paths(video: object, key: str, file: Path, *place: str) -> list[str]:
    """The paths that a video's object lists under ``key``. The list of masks may be missing."""
    paths = video.get(key, [] if key == "masks" else None) if isinstance(video, dict) else None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise BadLayout(f"{', '.join((str(file), *place))}: expected {key}, a list of paths")
    return sorted(path.replace("\\", "/") for path in paths)


def _dataset(name: str) -> str:
    return DATASETS.get(name) or ("FF++" if name in METHODS and name.startswith("FF-") else name)


def _root(base: Path, frame: str) -> str:
    """The prefix that makes a frame's path relative to ``base``; empty if ``frame`` does not exist anywhere."""
    if not frame or Path(frame).is_absolute():
        return ""
    for root in ("", "../", "rgb/", "../rgb/"):
        if (base / root / frame).is_file():
            return root
    return ""
