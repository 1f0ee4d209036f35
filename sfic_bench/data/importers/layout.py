"""What the importers share: finding frames in folders, reading small text files, and the rows of a manifest."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sfic_bench.data.images import SUFFIXES
from sfic_bench.data.manifest import COLUMNS, OPTIONAL
from sfic_bench.errors import SficBenchError

VIDEO_SUFFIXES = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"))
"""Of files that are taken for videos, in lower case."""

COMPRESSIONS = ("raw", "c23", "c40")
"""Of FaceForensics++: raw, HQ and LQ."""

UNKNOWN = "unknown"
"""The method of a fake whose data set does not say."""


class BadLayout(SficBenchError):
    """A folder that is not laid out as its data set is."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video to take faces out of.

    Attributes:
        path: the file.
        frames: the folder that its frames belong into, relative to the data set's, where the importer looks for them.
        label: 1 for fake.
    """

    path: Path
    frames: Path
    label: int


@dataclass
class Rows:
    """A manifest in the making; paths are relative to ``folder`` where they lie in it."""

    folder: Path
    dataset: str
    notes: list[str] = field(default_factory=list)
    _rows: list[tuple[str, int, str, str, str, str, str, str]] = field(default_factory=list)
    _without: list[str] = field(default_factory=list)

    def add(
        self,
        path: Path | str,
        label: int,
        *,
        method: str,
        video: str,
        split: str,
        compression: str = "",
        dataset: str = "",
        mask: str = "",
    ) -> None:
        if isinstance(path, Path):
            path = _relative(path, self.folder)
        self._rows.append(
            (path, label, dataset or self.dataset, method if label else "", video, split, compression, mask)
        )

    def add_frames(self, frames: Path, label: int, *, video: str, **columns: str) -> None:
        """All images in the folder ``frames``; one without any is noted."""
        found = images(frames)
        for image in found:
            self.add(image, label, video=video, **columns)
        if not found:
            self._without.append(video)

    def table(self, kind: str) -> pd.DataFrame:
        """The rows, by path; what a person should know of them is in ``attrs["notes"]``.

        Raises:
            BadLayout: if there are none; of videos alone it says what to do.
        """
        if not self._rows:
            if next(videos_below(self.folder), None):
                raise BadLayout(
                    f"{self.folder} has videos but no frames of them: run `sfic-bench data extract {kind} {self.folder} "
                    f"-o FACES` first, then import FACES"
                )
            raise BadLayout(f"{self.folder} has no images where {kind} keeps them")
        if self._without:
            self.notes.append(f"{len(self._without):,} videos have no frames, the first {self._without[0]}")
        frame = pd.DataFrame(self._rows, columns=[*COLUMNS, *OPTIONAL]).sort_values("path", ignore_index=True)
        frame = frame[[c for c in frame if c in COLUMNS or frame[c].any()]]
        frame.attrs["notes"] = list(self.notes)
        return frame


def _relative(path: Path, folder: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()).as_posix()


def images(folder: Path) -> list[Path]:
    """The images directly in ``folder``, by name; none if there is no such folder."""
    return _files(folder, SUFFIXES)


def videos(folder: Path) -> list[Path]:
    """The videos directly in ``folder``, by name; none if there is no such folder."""
    return _files(folder, VIDEO_SUFFIXES)


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder``, by name; none if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(folder / e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def images_below(folder: Path) -> Iterator[Path]:
    """The images in ``folder`` at any depth."""
    yield from images(folder)
    for inner in subfolders(folder):
        yield from images_below(inner)


def videos_below(folder: Path) -> Iterator[Path]:
    """The videos in ``folder`` at any depth."""
    yield from videos(folder)
    for inner in subfolders(folder):
        yield from videos_below(inner)


def frame_folders(folder: Path) -> list[Path]:
    """One a video, in ``folder/frames`` or else in ``folder``."""
    inner = folder / "frames"
    return subfolders(inner if inner.is_dir() else folder)


def frames_of(video: Path) -> Path:
    """Where the frames of ``video`` are: ``frames/NAME`` beside it, or ``NAME``."""
    beside = video.parent / video.stem
    return beside if beside.is_dir() else frames_beside(video)


def frames_beside(video: Path) -> Path:
    """Where extracted frames of ``video`` go: ``frames/NAME`` beside it."""
    return video.parent / "frames" / video.stem


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    # Names that start with a dot are of files being written, or of macOS.
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [e.name for e in entries]
    return [folder / n for n in sorted(names) if not n.startswith(".") and Path(n).suffix.lower() in suffixes]


def read_text(path: Path) -> str:
    """What ``path`` has.

    Raises:
        BadLayout: if it cannot be read or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadLayout(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadLayout(f"{path} is no text in UTF-8") from None


def read_json(path: Path) -> Any:
    """What ``path`` has.

    Raises:
        BadLayout: if it cannot be read or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadLayout(f"{path} is no JSON: {error}") from None


def read_json_object(path: Path) -> dict[str, dict[str, Any]]:
    """The object of objects that ``path`` has.

    Raises:
        BadLayout: if it has anything else.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise BadLayout(f"{path}: expected a JSON object with an object for each video")
    return found
