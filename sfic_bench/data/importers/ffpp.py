"""FaceForensics++, by its official split, or by the paper's split of single images.

Source: Rössler et al., "FaceForensics++", ICCV 2019, and the repository ondyari/FaceForensics. Its folders are
``original_sequences/{youtube,actors}`` and ``manipulated_sequences/METHOD``, with ``{raw,c23,c40}/{videos,frames}`` in
each. A fake has the name target_source. ``train.json``, ``val.json`` and ``test.json`` list pairs of ids.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers.layout import (
    COMPRESSIONS,
    BadLayout,
    ManifestBuilder,
    Video,
    read_json,
    subfolders,
    videos,
)

DATASET, DFD = "FF++", "DFD"

LEAKING = "FF++ (image-level split, leaks)"
"""The data set's name in a manifest with frames of one video on both sides of the split."""

SEQUENCES = {"original_sequences": 0, "manipulated_sequences": 1}
"""Labels by folder, fake = 1."""

DFD_FOLDERS = ("actors", "DeepFakeDetection")

PAPER_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")

SEED = 7
"""The paper's seed."""

TRAIN_TO_TEST = (5, 1)
"""The paper's split of its 120,000 images."""

ANNOTATIONS = tuple(f"{folder}{split}.json" for folder in ("", "splits/") for split in SplitName)
"""Files beside the videos that an import needs."""


def load(folder: Path) -> pd.DataFrame:
    """FaceForensics++ by its official split: 720, 140 and 140 real videos, and the fakes made of them.

    DeepFakeDetection and the actors' originals were published later and are in no split file. They are the data set
    ``DFD``, all in ``test``.

    Raises:
        BadLayout: without the split files or frames, and for a video that no split has.
    """
    frame_folders = list(_frames(folder))
    split_of = _official_split(folder)
    manifest = ManifestBuilder(folder, DATASET)
    for frames, label, method, compression in frame_folders:
        is_dfd = method in DFD_FOLDERS
        split = SplitName.TEST if is_dfd else split_of.get(frames.name)
        if split is None:
            raise BadLayout(
                f"{frames}: no split file has {frames.name}; expected an id such as 071 or a pair such as 071_054 "
                f"from train.json, val.json or test.json"
            )
        _add(manifest, frames, label, method, compression, split, DFD if is_dfd else DATASET)
    return manifest.table("ffpp")


def load_image_level(folder: Path) -> pd.DataFrame:
    """The paper's data: real images and fakes by four methods, split 5:1 image by image, so that it leaks.

    Frames of one video, and one face in several videos, are on both sides, so that scores on this split say little
    about new videos. Neither the paper nor its code has validation images: 5 of 6 images are ``train``, and 1 is
    ``test``. The sixth image is drawn separately for real and for fake images, with seed 7, from the paths in order.

    Raises:
        BadLayout: without frames.
    """
    manifest = ManifestBuilder(folder, LEAKING)
    for frames, label, method, compression in _frames(folder):
        if method in ("youtube", *PAPER_METHODS):
            _add(manifest, frames, label, method, compression, SplitName.TRAIN, LEAKING)
    manifest.notes.append("frames of one video are on both sides of this split: it leaks")
    frame = manifest.table("ffpp-image-level")
    draw = np.random.default_rng(SEED)
    for label in (0, 1):
        places = frame.index[frame["label"] == label].to_numpy()
        test = round(len(places) * TRAIN_TO_TEST[1] / sum(TRAIN_TO_TEST))
        frame.loc[places[draw.permutation(len(places))[:test]], "split"] = SplitName.TEST.value
    return frame


def list_videos(folder: Path) -> list[Video]:
    """All videos of all methods and compressions."""
    return [
        Video(path=path, frames=inner.relative_to(folder) / "frames" / path.stem, label=label)
        for inner, label, _, _ in _compressions(folder)
        for path in videos(inner / "videos")
    ]


def identities(video: str) -> tuple[str, ...]:
    """The people in ``video``: of a fake, the target and the source."""
    ids = re.fullmatch(r"(\d{3})(?:_(\d{3}))?", video.rpartition("/")[2])
    return tuple(filter(None, ids.groups())) if ids else ()


def dfd_identities(video: str) -> tuple[str, ...]:
    """The actors in a video such as ``01__hugging_happy`` or ``01_02__hugging_happy__YVGY8LOK``."""
    ids = re.match(r"(\d{2})(?:_(\d{2}))?__", video.rpartition("/")[2])
    return tuple(filter(None, ids.groups())) if ids else ()


def _add(
    manifest: ManifestBuilder,
    frames: Path,
    label: int,
    method: str,
    compression: str,
    split: SplitName,
    dataset: str,
) -> None:
    manifest.add_frames(
        frames,
        label,
        method=method,
        # Videos have the same names in all methods and compressions.
        video=f"{method}/{compression}/{frames.name}",
        split=split.value,
        compression=compression,
        dataset=dataset,
    )


def _frames(folder: Path) -> Iterator[tuple[Path, int, str, str]]:
    """For each video its folder of frames, label, method (its source if it is real) and compression."""
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


def _official_split(folder: Path) -> dict[str, SplitName]:
    """The split of each video by name. A pair in a split file covers both real videos and the fakes in both orders."""
    split_of: dict[str, SplitName] = {}
    for split in SplitName:
        path = next((p for p in (folder / f"{split}.json", folder / "splits" / f"{split}.json") if p.is_file()), None)
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
                if split_of.setdefault(video, split) != split:
                    raise BadLayout(f"{path}: {video} is in {split_of[video]}.json, too")
    return split_of
