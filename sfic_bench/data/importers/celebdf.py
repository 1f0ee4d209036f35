"""Celeb-DF, versions 1 and 2.

Source: Li et al., "Celeb-DF: A Large-scale Challenging Dataset for DeepFake Forensics", CVPR 2020, and the README of
its repository yuezunli/celeb-deepfakeforensics. The data set has the folders ``Celeb-real``, ``YouTube-real`` and
``Celeb-synthesis``, and ``List_of_testing_videos.txt`` with lines "FLAG FOLDER/FILE", where **1 is real**.
"""

import re
from pathlib import Path

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.importers import layout

FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
"""Labels by folder, fake = 1."""

METHOD = "Celeb-synthesis"

LIST = "List_of_testing_videos.txt"
ANNOTATIONS = (LIST,)

VERSIONS = {100: "1", 518: "2"}
"""Versions by the number of videos that their lists name."""


def load(folder: Path) -> pd.DataFrame:
    """Celeb-DF: the videos that its list names are ``test``, and all others are ``train``. It has no validation videos.

    The name of the data set contains its version, which the folder's name (``v1``, ``v2``) or the list's length shows.

    Raises:
        BadLayout: without the list or frames, and for a line whose flag contradicts its folder.
    """
    test_videos = _test_videos(folder)
    manifest = layout.ManifestBuilder(folder, f"Celeb-DF{_version(folder, len(test_videos))}")
    for name, label in FOLDERS.items():
        inner = folder / name / "frames"
        for frames in layout.subfolders(inner if inner.is_dir() else folder / name):
            if frames.name != "videos":
                video = f"{name}/{frames.name}"
                split = SplitName.TEST if video in test_videos else SplitName.TRAIN
                manifest.add_frames(frames, label, method=METHOD, video=video, split=split)
    return manifest.table("celebdf")


def list_videos(folder: Path) -> list[layout.Video]:
    """The videos in all folders, with those that the list does not name."""
    _check(folder)
    return [
        layout.Video(path=path, frames=layout.frames_beside(folder / name / path.name).relative_to(folder), label=label)
        for name, label in FOLDERS.items()
        for path in (*layout.videos(folder / name), *layout.videos(folder / name / "videos"))
    ]


def _check(folder: Path) -> None:
    if not any((folder / name).is_dir() for name in FOLDERS):
        raise layout.BadLayout(f"{folder} has none of {', '.join(FOLDERS)}: it is not Celeb-DF")


def _test_videos(folder: Path) -> set[str]:
    """The listed videos, as ``FOLDER/NAME``."""
    _check(folder)
    path = folder / LIST
    if not path.is_file():
        raise layout.BadLayout(f"{folder} lacks {LIST}, which comes with Celeb-DF; without it there is no split")
    test_videos = set()
    for number, line in enumerate(layout.read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        flag, _, video = line.strip().partition(" ")
        name, _, file = video.strip().replace("\\", "/").partition("/")
        if flag not in ("0", "1") or name not in FOLDERS or not file:
            raise layout.BadLayout(f"{place}: expected such as '1 YouTube-real/00170.mp4', got {line.strip()!r}")
        if int(flag) == FOLDERS[name]:
            raise layout.BadLayout(f"{place}: flag {flag}, where 1 means real, contradicts the folder {name}")
        test_videos.add(f"{name}/{Path(file).stem}")
    return test_videos


def _version(folder: Path, listed: int) -> str:
    in_name = re.search(r"v([12])(?!\d)", folder.resolve().name.lower())
    version = in_name.group(1) if in_name else VERSIONS.get(listed, "")
    return version and f" v{version}"
