"""What the importers share: listing files in folders, reading text files, and collecting the rows of a manifest."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from sfic_bench.data.images import IMAGE_SUFFIXES
from sfic_bench.data.manifest import COLUMNS, OPTIONAL_COLUMNS
from sfic_bench.errors import SficBenchError

VIDEO_SUFFIXES = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"))
"""The endings, in lower case, of files that are taken for videos."""

COMPRESSIONS = ("raw", "c23", "c40")
"""The compressions of FaceForensics++: raw, HQ and LQ."""

UNKNOWN = "unknown"
"""The method of a fake whose data set does not name one."""


class BadLayout(SficBenchError):
    """A folder that is not laid out as its kind of data set is."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video to take faces out of.

    Attributes:
        path: the file.
        frames: the folder, relative to the data set's, where the importer looks for its frames.
        label: 1 for fake.
    """

    path: Path
    frames: Path
    label: int


@dataclass
class ManifestBuilder:
    """Collects the rows of a manifest. Paths of files in ``folder`` become relative to it."""

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
        """Add all images in the folder ``frames``; the table notes a video without any."""
        paths = images(frames)
        for path in paths:
            self.add(path, label, video=video, **columns)
        if not paths:
            self._without.append(video)

    def table(self, kind: str) -> pd.DataFrame:
        """The rows, sorted by path; remarks for the user are in ``attrs["notes"]``.

        Raises:
            BadLayout: if there are no rows; for a folder of videos the message names the command to run first.
        """
        if not self._rows:
            if next(files_below(self.folder, videos), None):
                raise BadLayout(
                    f"{self.folder} has videos but no frames of them: run "
                    f"`sfic-bench data extract {kind} {self.folder} -o FACES` first, then import FACES"
                )
            raise BadLayout(f"{self.folder} has no images where {kind} keeps them")
        if self._without:
            self.notes.append(f"{len(self._without):,} videos have no frames, the first {self._without[0]}")
        frame = pd.DataFrame(self._rows, columns=[*COLUMNS, *OPTIONAL_COLUMNS]).sort_values("path", ignore_index=True)
        frame = frame[[c for c in frame if c in COLUMNS or frame[c].any()]]
        frame.attrs["notes"] = list(self.notes)
        return frame


def _relative(path: Path, folder: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()).as_posix()


def images(folder: Path) -> list[Path]:
    """The images directly in ``folder``, by name; none if there is no such folder."""
    return _files(folder, IMAGE_SUFFIXES)


def videos(folder: Path) -> list[Path]:
    """The videos directly in ``folder``, by name; none if there is no such folder."""
    return _files(folder, VIDEO_SUFFIXES)


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder``, by name; none if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(folder / e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def files_below(folder: Path, files: Callable[[Path], list[Path]]) -> Iterator[Path]:
    """The ``files`` (`images` or `videos`) in ``folder`` at any depth."""
    yield from files(folder)
    for inner in subfolders(folder):
        yield from files_below(inner, files)


def frame_folders(folder: Path) -> list[Path]:
    """The folders of frames, one a video, in ``folder/frames`` if that exists, else in ``folder``."""
    inner = folder / "frames"
    return subfolders(inner if inner.is_dir() else folder)


def frames_of(video: Path) -> Path:
    """The folder with the frames of ``video``: ``NAME`` beside it if that exists, else ``frames/NAME``."""
    beside = video.parent / video.stem
    return beside if beside.is_dir() else frames_beside(video)


def frames_beside(video: Path) -> Path:
    """The folder that extracted frames of ``video`` go into: ``frames/NAME`` beside it."""
    return video.parent / "frames" / video.stem


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    # Names with a leading dot belong to files that are being written, or to macOS.
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    return [folder / name for name in names if Path(name).suffix.lower() in suffixes]


def read_text(path: Path) -> str:
    """The text in ``path``.

    Raises:
        BadLayout: if the file cannot be read or is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadLayout(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadLayout(f"{path} is no text in UTF-8") from None


def read_json(path: Path) -> object:
    """The JSON value in ``path``.

    Raises:
        BadLayout: if the file cannot be read or is no JSON.
    """
    try:
        value: object = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadLayout(f"{path} is no JSON: {error}") from None
    return value


def read_json_object(path: Path) -> dict[str, dict[str, object]]:
    """The JSON object of objects in ``path``.

    Raises:
        BadLayout: if the file has anything else.
    """
    value = read_json(path)
    if not isinstance(value, dict) or not all(isinstance(inner, dict) for inner in value.values()):
        raise BadLayout(f"{path}: expected a JSON object with an object for each video")
    return value
