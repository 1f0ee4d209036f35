"""Celeb-DF, versions 1 and 2.

Source: Li et al., "Celeb-DF: A Large-scale Challenging Dataset for DeepFake Forensics", CVPR 2020, and the README of its
repository yuezunli/celeb-deepfakeforensics: folders ``Celeb-real``, ``YouTube-real`` and ``Celeb-synthesis``, and
``List_of_testing_videos.txt`` with lines "FLAG FOLDER/FILE", where **1 is real**.
"""

import re
from pathlib import Path

import pandas as pd

from sfic_bench.data.importers.layout import (
    BadLayout,
    Rows,
    Video,
    frame_folders,
    frames_beside,
    read_text,
    videos,
)

FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
"""Labels by folder, fake = 1."""

METHOD = "Celeb-synthesis"

LIST = "List_of_testing_videos.txt"
ANNOTATIONS = (LIST,)

TESTED = {100: "1", 518: "2"}
"""Versions by the length of their lists."""


def load(folder: Path) -> pd.DataFrame:
    """Celeb-DF: ``test`` is what its list names, ``train`` the rest; it has no validation videos.

    The data set is called by its version, which the folder's name (``v1``, ``v2``) or the length of the list tells.

    Raises:
        BadLayout: without the list or frames, or for a line whose flag contradicts its folder.
    """
    tested = _tested(folder)
    rows = Rows(folder, f"Celeb-DF{_version(folder, len(tested))}")
    for name, label in FOLDERS.items():
        for frames in frame_folders(folder / name):
            if frames.name == "videos":
                continue
            video = f"{name}/{frames.name}"
            split = "test" if video in tested else "train"
            rows.add_frames(frames, label, method=METHOD, video=video, split=split)
    return rows.table("celebdf")


def list_videos(folder: Path) -> list[Video]:
    """All videos."""
    _check(folder)
    return [
        Video(path=path, frames=frames_beside(folder / name / path.name).relative_to(folder), label=label)
        for name, label in FOLDERS.items()
        for path in (*videos(folder / name), *videos(folder / name / "videos"))
    ]


def identities(video: str) -> tuple[str, ...]:
    """Whom ``video`` shows: ``id0_0003``, or target and source, ``id0_id1_0003``; of YouTube-real it is not known."""
    found = re.fullmatch(r"(id\d+)(?:_(id\d+))?_\d+", video.rpartition("/")[2])
    return tuple(filter(None, found.groups())) if found else ()


def _check(folder: Path) -> None:
    if not any((folder / name).is_dir() for name in FOLDERS):
        raise BadLayout(f"{folder} has none of {', '.join(FOLDERS)}: it is not Celeb-DF")


def _tested(folder: Path) -> set[str]:
    """``FOLDER/NAME`` of each listed video."""
    _check(folder)
    path = folder / LIST
    if not path.is_file():
        raise BadLayout(f"{folder} lacks {LIST}, which comes with Celeb-DF; without it there is no split")
    found = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        flag, _, video = line.strip().partition(" ")
        name, _, file = video.strip().replace("\\", "/").partition("/")
        if flag not in ("0", "1") or name not in FOLDERS or not file:
            raise BadLayout(
                f"{path}, line {number}: expected such as '1 YouTube-real/00170.mp4', got {line.strip()!r}"
            )
        if int(flag) == FOLDERS[name]:
            raise BadLayout(
                f"{path}, line {number}: flag {flag}, where 1 means real, contradicts the folder {name}"
            )
        found.add(f"{name}/{Path(file).stem}")
    return found


def _version(folder: Path, listed: int) -> str:
    named = re.search(r"v([12])(?!\d)", folder.resolve().name.lower())
    version = named.group(1) if named else TESTED.get(listed, "")
    return version and f" v{version}"
