"""FaceForensics++, by its official split, or by the paper's split of single images.

Source: Rössler et al., "FaceForensics++", ICCV 2019, and the repository ondyari/FaceForensics: ``original_sequences/{youtube,
actors}`` and ``manipulated_sequences/METHOD``, then ``/{raw,c23,c40}/{videos,frames}``; fakes are named target_source;
``train.json``, ``val.json`` and ``test.json`` list pairs of ids.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sfic_bench.data.importers.layout import (
    COMPRESSIONS,
    BadLayout,
    Rows,
    Video,
    read_json,
    subfolders,
    videos,
)
from sfic_bench.data.manifest import SPLITS

DATASET, DFD = "FF++", "DFD"

LEAKING = "FF++ (image-level split, leaks)"
"""The data set's name in a manifest with frames of one video on both sides of the split."""

SEQUENCES = {"original_sequences": 0, "manipulated_sequences": 1}
"""Labels by folder, fake = 1."""

DFD_FOLDERS = ("actors", "DeepFakeDetection")

PAPER_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")

SEED = 7
"""The paper's."""

TRAIN_TO_TEST = (5, 1)
"""The paper's split of its 120,000 images."""

ANNOTATIONS = tuple(f"{folder}{split}.json" for folder in ("", "splits/") for split in SPLITS)
"""Files beside the videos that an import needs."""


def load(folder: Path) -> pd.DataFrame:
    """FaceForensics++ by its official split: 720, 140 and 140 real videos, and the fakes among them.

    DeepFakeDetection and the actors' originals, which came later and are in no split file, are the data set ``DFD`` and all
    in ``test``.

    Raises:
        BadLayout: without the split files or frames, or for a video that no split has.
    """
    found = list(_frames(folder))
    split_of = _official(folder)
    rows = Rows(folder, DATASET)
    for frames, label, method, compression in found:
        dfd = method in DFD_FOLDERS
        split = "test" if dfd else split_of.get(frames.name, "")
        if not split:
            raise BadLayout(
                f"{frames}: no split file has {frames.name}; expected an id such as 071 or a pair such as 071_054 "
                f"from train.json, val.json or test.json"
            )
        _add(rows, frames, label, method, compression, split, DFD if dfd else DATASET)
    return rows.table("ffpp")


def load_image_level(folder: Path) -> pd.DataFrame:
    """The paper's data: real images and four methods, split 5:1 image by image, so that it leaks.

    Frames of one video, and one face in several videos, are on both sides; scores on it say little of new videos. The
    paper names no validation images and its code has none: 5 of 6 images are ``train``, 1 is ``test``. Within real and
    within fake images the sixth is drawn with seed 7 from the paths in order.

    Raises:
        BadLayout: without frames.
    """
    rows = Rows(folder, LEAKING)
    for frames, label, method, compression in _frames(folder):
        if method in ("youtube", *PAPER_METHODS):
            _add(rows, frames, label, method, compression, "train", LEAKING)
    rows.notes.append("frames of one video are on both sides of this split: it leaks")
    frame = rows.table("ffpp-image-level")
    draw = np.random.default_rng(SEED)
    for label in (0, 1):
        places = frame.index[frame["label"] == label].to_numpy()
        test = round(len(places) * TRAIN_TO_TEST[1] / sum(TRAIN_TO_TEST))
        frame.loc[places[draw.permutation(len(places))[:test]], "split"] = "test"
    return frame


def list_videos(folder: Path) -> list[Video]:
    """All videos of all methods and compressions."""
    return [
        Video(path=path, frames=inner.relative_to(folder) / "frames" / path.stem, label=label)
        for inner, label, _, _ in _compressions(folder)
        for path in videos(inner / "videos")
    ]


def identities(video: str) -> tuple[str, ...]:
    """Whom ``video`` shows: of a fake, the target and the source."""
    found = re.fullmatch(r"(\d{3})(?:_(\d{3}))?", video.rpartition("/")[2])
    return tuple(filter(None, found.groups())) if found else ()


def dfd_identities(video: str) -> tuple[str, ...]:
    """The actors in a video such as ``01__hugging_happy`` or ``01_02__hugging_happy__YVGY8LOK``."""
    found = re.match(r"(\d{2})(?:_(\d{2}))?__", video.rpartition("/")[2])
    return tuple(filter(None, found.groups())) if found else ()


def _add(
    rows: Rows, frames: Path, label: int, method: str, compression: str, split: str, dataset: str
) -> None:
    rows.add_frames(
        frames,
        label,
        method=method,
        # Methods name their videos alike, and so do compressions.
        video=f"{method}/{compression}/{frames.name}",
        split=split,
        compression=compression,
        dataset=dataset,
    )


def _frames(folder: Path) -> Iterator[tuple[Path, int, str, str]]:
    """Each video's folder of frames, its label, method (of real ones, where they are from) and compression."""
    for inner, label, method, compression in _compressions(folder):
        for frames in subfolders(inner / "frames"):
            yield frames, label, method, compression


def _compressions(folder: Path) -> Iterator[tuple[Path, int, str, str]]:
    if not any((folder / name).is_dir() for name in SEQUENCES):
        raise BadLayout(f"{folder} has neither {' nor '.join(SEQUENCES)}: it is not FaceForensics++")
    for name, label in SEQUENCES.items():
        for method in subfolders(folder / name):
            for inner in subfolders(method):
                if inner.name in COMPRESSIONS:
                    yield inner, label, method.name, inner.name


def _official(folder: Path) -> dict[str, str]:
    """Split by video: a pair covers both real videos and both orders."""
    found: dict[str, str] = {}
    for split in SPLITS:
        path = next(
            (p for p in (folder / f"{split}.json", folder / "splits" / f"{split}.json") if p.is_file()), None
        )
        if path is None:
            raise BadLayout(
                f"{folder} lacks {split}.json; put FaceForensics++'s own train.json, val.json and test.json "
                f"(dataset/splits of its repository) there"
            )
        pairs = read_json(path)
        if not isinstance(pairs, list):
            raise BadLayout(f'{path}: expected a list of pairs such as ["071", "054"]')
        for pair in pairs:
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(i, str) for i in pair)):
                raise BadLayout(f'{path}: expected pairs such as ["071", "054"], got {pair!r}')
            one, other = pair
            for video in (one, other, f"{one}_{other}", f"{other}_{one}"):
                if found.setdefault(video, split) != split:
                    raise BadLayout(f"{path}: {video} is in {found[video]}.json, too")
    return found
