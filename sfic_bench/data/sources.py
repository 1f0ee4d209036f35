"""Photographs and videos that a user names: files, folders, and lists of paths on the standard input."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sfic_bench.data.images import IMAGE_SUFFIXES
from sfic_bench.data.importers.layout import VIDEO_SUFFIXES

LIST = "-"
"""The name that stands for a list of paths."""

ANNOTATED = ".scores.jpg"
"""The ending of pictures that show scores, which are not taken for photographs in a folder."""

PHOTOGRAPHS = IMAGE_SUFFIXES | {".avif", ".heic", ".heif", ".jfif", ".jpe", ".jxl"}
"""The endings, in lower case, of photographs in a folder; a format that cannot be decoded must not go unnoticed."""


class MediaKind(StrEnum):
    """What a file shows."""

    PHOTOGRAPH = "photograph"
    VIDEO = "video"


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFile:
    """A photograph or a video; with a ``problem`` it is a path that cannot be read, and the problem says why."""

    path: Path
    kind: MediaKind
    problem: str = ""


def media_files(names: Iterable[str], lines: Iterable[bytes] = ()) -> Iterator[MediaFile]:
    """The files that ``names`` are, or that lie in them, one after another.

    A folder gives its photographs and videos at any depth, sorted by path, without hidden files. A file that is named
    is taken for a photograph unless it has a video's ending.

    Args:
        names: files, folders, and `LIST` for the names in ``lines``.
        lines: one name each, or several that end with a zero byte.
    """
    for name in names:
        if name == LIST:
            yield from media_files(listed(lines))
        elif not name:
            yield MediaFile(
                path=Path(), kind=MediaKind.PHOTOGRAPH, problem="an empty name, expected a file's or a folder's"
            )
        elif Path(name).is_dir():
            yield from _in_folder(Path(name))
        else:
            path = Path(name)
            kind = MediaKind.VIDEO if path.suffix.lower() in VIDEO_SUFFIXES else MediaKind.PHOTOGRAPH
            yield MediaFile(path=path, kind=kind)


def listed(lines: Iterable[bytes]) -> Iterator[str]:
    """The names in ``lines``, as they come; `LIST` itself is the name of a file there."""
    for line in lines:
        for part in line.removesuffix(b"\n").split(b"\0"):
            if name := part.removesuffix(b"\r"):
                yield f"./{LIST}" if name == LIST.encode() else os.fsdecode(name)


def _in_folder(folder: Path) -> Iterator[MediaFile]:
    is_empty, failures = True, list[OSError]()
    for place, folders, files in os.walk(folder, onerror=failures.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            ending = Path(name).suffix.lower()
            if name.startswith(".") or name.endswith(ANNOTATED) or ending not in PHOTOGRAPHS | VIDEO_SUFFIXES:
                continue
            is_empty = False
            kind = MediaKind.VIDEO if ending in VIDEO_SUFFIXES else MediaKind.PHOTOGRAPH
            yield MediaFile(path=Path(place) / name, kind=kind)
    for failure in failures:
        path, reason = Path(str(failure.filename)), failure.strerror or str(failure)
        yield MediaFile(path=path, kind=MediaKind.PHOTOGRAPH, problem=f"cannot read the folder: {reason}")
    if is_empty and not failures:
        yield MediaFile(path=folder, kind=MediaKind.PHOTOGRAPH, problem="the folder has no photographs and no videos")
