"""The JSON files of DeepfakeBench.

Source: Yan et al., "DeepfakeBench", NeurIPS 2023, and its repository SCLBD/DeepfakeBench: data set → class (FF-real, FF-DF,
CelebDFv2_fake, …) → train, val or test → compression (FaceForensics++ alone) → video → {label, frames, masks}.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sfic_bench.data.importers.layout import COMPRESSIONS, BadLayout, Rows, read_json
from sfic_bench.data.manifest import SPLITS

DATASETS = {"FF": "FF++", "FaceForensics++": "FF++", "FaceShifter": "FF++", "DeepFakeDetection": "DFD"}
DATASETS |= {f"Celeb-DF-v{n}": f"Celeb-DF v{n}" for n in (1, 2)}
"""Names of data sets as the other importers have them."""

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
"""Methods by class; another class of fakes is its own method."""

SOURCES = {"FF-real": "youtube", "DFD_real": "actors"}

FIRST = ("test", "train", "val")
"""Which split keeps a video that is in several: nothing that is tested is trained on."""


@dataclass(frozen=True, slots=True)
class _Video:
    dataset: str
    named: str  # the class
    split: str
    compression: str
    name: str
    frames: list[str]
    masks: list[str]


def load(folder: Path) -> pd.DataFrame:
    """What the JSON files in ``folder``, or the one file that it is, name.

    These files list many videos twice: Celeb-DF's test videos are in ``train`` and ``val``, too, DFDC's training videos in
    ``val``. Here a video is ``test`` if it is that anywhere, else ``train``, else ``val``; how many were elsewhere is
    noted. A fake's mask is the one that has its frame's file name. Paths may have backslashes; they start from ``folder``, the folder around it, or ``rgb`` in either,
    whichever has the first image.

    Raises:
        BadLayout: if there are none, or for a class whose label is not known or frames that are no list of paths.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.json"))
    base = folder.parent if folder.is_file() else folder
    if not files:
        raise BadLayout(f"{folder} has no JSON files; expected those of DeepfakeBench, such as FF-DF.json")
    listed = [video for file in files for video in _videos(file, read_json(file))]
    rows = Rows(base, "")
    root = _root(base, next((v.frames[0] for v in listed if v.frames), ""))
    seen: dict[str, str] = {}  # splits by frame
    moved = 0
    for video in sorted(listed, key=lambda v: FIRST.index(v.split)):
        label = _label(video.named)
        method = METHODS.get(video.named, video.named)
        middle = f"{video.compression}/" if video.compression else ""
        elsewhere = False
        masks = {frame.rpartition("/")[2]: frame for frame in video.masks}
        for frame in video.frames:
            if frame in seen:
                elsewhere |= seen[frame] != video.split
                continue
            seen[frame] = video.split
            mask = masks.get(frame.rpartition("/")[2], "")
            rows.add(
                root + frame,
                label,
                mask=root + mask if mask and label else "",
                method=method,
                video=f"{SOURCES.get(video.named, method)}/{middle}{video.name}",
                split=video.split,
                compression=video.compression,
                dataset=video.dataset,
            )
        moved += elsewhere
    if moved:
        rows.notes.append(f"{moved:,} videos are in several splits; test keeps them, else train")
    return rows.table("deepfakebench")


def _label(named: str) -> int:
    lower = named.lower()
    if lower.endswith("real"):
        return 0
    if "fake" in lower or named in METHODS:
        return 1
    raise BadLayout(
        f"class {named!r} does not say whether it is real or fake; expected such as FF-real, FF-DF, X_fake"
    )


def _videos(file: Path, found: Any) -> Iterator[_Video]:
    for dataset, classes in _object(file, found):
        for named, splits in _object(file, classes, dataset):
            _label(named)
            for split, inner in _object(file, splits, dataset, named):
                if split not in SPLITS:
                    raise BadLayout(
                        f"{file}, {dataset}, {named}: expected train, val and test, got {split!r}"
                    )
                # Its DFDC.json has one video's entry where the split's videos should be; test has it, too.
                if isinstance(inner, dict) and isinstance(inner.get("frames"), list):
                    continue
                groups: dict[str, Any] = {"": inner}
                if isinstance(inner, dict) and inner and all(key in COMPRESSIONS for key in inner):
                    groups = inner
                for compression, videos in groups.items():
                    place = (dataset, named, split, *filter(None, [compression]))
                    for name, told in _object(file, videos, *place):
                        yield _Video(
                            _dataset(dataset),
                            named,
                            split,
                            compression,
                            name,
                            _frames(file, told, "frames", *place, name),
                            _frames(file, told, "masks", *place, name),
                        )


def _object(file: Path, found: Any, *place: str) -> list[tuple[str, Any]]:
    if not isinstance(found, dict):
        raise BadLayout(
            f"{', '.join((str(file), *place))}: expected a JSON object, got {type(found).__name__}"
        )
    return list(found.items())


def _frames(file: Path, told: Any, of: str, *place: str) -> list[str]:
    # Of the two lists that of masks may be missing.
    frames = told.get(of, [] if of == "masks" else None) if isinstance(told, dict) else None
    if not isinstance(frames, list) or not all(isinstance(f, str) for f in frames):
        raise BadLayout(f"{', '.join((str(file), *place))}: expected {of}, a list of paths")
    return sorted(f.replace("\\", "/") for f in frames)


def _dataset(name: str) -> str:
    return DATASETS.get(name) or ("FF++" if name in METHODS and name.startswith("FF-") else name)


def _root(base: Path, frame: str) -> str:
    """What goes before a frame's path to be relative to ``base``; nothing if ``frame`` is found nowhere."""
    if not frame or Path(frame).is_absolute():
        return ""
    for root in ("", "../", "rgb/", "../rgb/"):
        if (base / root / frame).is_file():
            return root
    return ""
