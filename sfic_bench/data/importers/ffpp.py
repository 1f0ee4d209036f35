"""FaceForensics++, by its official split, or all of it for the paper's draw.

Source: Rössler et al., "FaceForensics++", ICCV 2019, and the repository ondyari/FaceForensics. Its folders are
``original_sequences/{youtube,actors}`` and ``manipulated_sequences/METHOD``, with ``{raw,c23,c40}/{videos,frames}`` in
each. A fake has the name target_source. ``train.json``, ``val.json`` and ``test.json`` list pairs of ids.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers import layout

DATASET, DFD = "FF++", "DFD"

SEQUENCES = {"original_sequences": 0, "manipulated_sequences": 1}
"""Labels by folder, fake = 1."""

DFD_FOLDERS = ("actors", "DeepFakeDetection")

PAPER_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")

PAPER_FOLDERS, PAPER_COMPRESSIONS = ("youtube", "actors", *PAPER_METHODS), ("c23", "c40")
"""What the paper's data are: 1,000 videos from YouTube and 363 of actors, and 4,000 fakes, in two compressions."""

ANNOTATIONS = tuple(f"{folder}{split}.json" for folder in ("", "splits/") for split in SplitName)
"""Files beside the videos that an import needs."""


def load(folder: Path) -> pd.DataFrame:
    """FaceForensics++ by its official split: 720, 140 and 140 real videos, and the fakes made of them.

    DeepFakeDetection and the actors' originals were published later and are in no split file. They are the data set
    ``DFD``, all in ``test``.

    Raises:
        BadLayout: without the split files or frames, and for a video that no split has.
    """
    frame_folders = list(_frame_folders(folder))
    split_of = _official_split(folder)
    manifest = layout.ManifestBuilder(folder, DATASET)
    for frames, label, columns in frame_folders:
        is_dfd = columns["method"] in DFD_FOLDERS
        split = SplitName.TEST if is_dfd else split_of.get(frames.name)
        if split is None:
            raise layout.BadLayout(
                f"{frames}: no split file has {frames.name}; expected an id such as 071 or a pair such as 071_054 "
                f"from train.json, val.json or test.json"
            )
        manifest.add_frames(frames, label, split=split, dataset=DFD if is_dfd else DATASET, **columns)
    return manifest.table("ffpp")


def load_of_paper(folder: Path) -> pd.DataFrame:
    """All images of the paper's data: both sources of real videos, four methods, c23 and c40; all are ``train``.

    Raises:
        BadLayout: without frames.
    """
    manifest = layout.ManifestBuilder(folder, DATASET)
    for frames, label, columns in _frame_folders(folder):
        if columns["method"] in PAPER_FOLDERS and columns["compression"] in PAPER_COMPRESSIONS:
            manifest.add_frames(frames, label, split=SplitName.TRAIN, **columns)
    return manifest.table("ffpp")


def list_videos(folder: Path) -> list[layout.Video]:
    """All videos of all methods and compressions."""
    return [
        layout.Video(path=path, frames=inner.relative_to(folder) / "frames" / path.stem, label=label)
        for inner, label in _compression_folders(folder)
        for path in layout.videos(inner / "videos")
    ]


def _frame_folders(folder: Path) -> Iterator[tuple[Path, int, dict[str, str]]]:
    """For each video its folder of frames, its label and columns of its rows; a real video's method is its source."""
    for inner, label in _compression_folders(folder):
        method, compression = inner.parent.name, inner.name
        for frames in layout.subfolders(inner / "frames"):
            # Videos have the same names in all methods and compressions.
            video = f"{method}/{compression}/{frames.name}"
            yield frames, label, {"method": method, "compression": compression, "video": video}


def _compression_folders(folder: Path) -> Iterator[tuple[Path, int]]:
    """The folders ``SEQUENCES/METHOD/COMPRESSION``, each with the label of its videos."""
    if not any((folder / name).is_dir() for name in SEQUENCES):
        raise layout.BadLayout(f"{folder} has neither {' nor '.join(SEQUENCES)}: it is not FaceForensics++")
    for name, label in SEQUENCES.items():
        for method in layout.subfolders(folder / name):
            yield from ((inner, label) for inner in layout.subfolders(method) if inner.name in layout.COMPRESSIONS)


def _official_split(folder: Path) -> dict[str, SplitName]:
    """The split of each video by name. A pair in a split file covers both real videos and the fakes in both orders."""
    split_of: dict[str, SplitName] = {}
    for split in SplitName:
        path = next((p for p in (folder / f"{split}.json", folder / "splits" / f"{split}.json") if p.is_file()), None)
        if path is None:
            raise layout.BadLayout(
                f"{folder} lacks {split}.json; put FaceForensics++'s own train.json, val.json and test.json "
                f"(dataset/splits of its repository) there"
            )
        for one, other in layout.read_json(path, list[tuple[str, str]], 'pairs such as ["071", "054"]'):
            for video in (one, other, f"{one}_{other}", f"{other}_{one}"):
                if split_of.setdefault(video, split) != split:
                    raise layout.BadLayout(f"{path}: {video} is in {split_of[video]}.json, too")
    return split_of
