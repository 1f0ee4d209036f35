"""What the importers share: listing files in folders, reading text files, and collecting the rows of a manifest."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd
from msgspec import DecodeError, ValidationError, json

from sfic_bench.data.choices import SplitName
from sfic_bench.data.images import IMAGE_SUFFIXES
from sfic_bench.data.manifest import COLUMNS
from sfic_bench.errors import SficBenchError
from sfic_bench.files import read_file

VIDEO_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")
)
"""The endings, in lower case, of files that are taken for videos."""

COMPRESSIONS = ("raw", "c23", "c40")
"""The compressions of FaceForensics++: raw, HQ and LQ."""

UNKNOWN = "unknown"
"""The method of a fake whose data set does not name one."""

Form = TypeVar("Form")


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
    _videos_without_frames: list[str] = field(default_factory=list)

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
        """Add an image; ``split`` is one of `SplitName`, and ``dataset`` is the builder's if not given."""
        if isinstance(path, Path):
            path = (path.relative_to(self.folder) if path.is_relative_to(self.folder) else path.absolute()).as_posix()
        method = method if label else ""
        dataset = dataset or self.dataset
        self._rows.append((path, label, dataset, method, video, SplitName(split).value, compression, mask))

    def add_frames(self, frames: Path, label: int, *, video: str, **columns: str) -> None:
        """Add all images in the folder ``frames``; a note of the table counts the videos without any."""
        paths = images(frames)
        for path in paths:
            self.add(path, label, video=video, **columns)
        if not paths:
            self._videos_without_frames.append(video)

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
        if missing := self._videos_without_frames:
            self.notes.append(f"{len(missing):,} videos have no frames, the first {missing[0]}")
        frame = pd.DataFrame(self._rows, columns=[*COLUMNS, "mask"]).sort_values("path", ignore_index=True)
        frame = frame[[c for c in frame if c in COLUMNS or frame[c].any()]]
        frame.attrs["notes"] = list(self.notes)
        return frame


def images(folder: Path) -> list[Path]:
    """The images directly in ``folder``, by name; none if there is no such folder."""
    return [path for entry in _entries(folder) if (path := Path(entry)).suffix.lower() in IMAGE_SUFFIXES]


def videos(folder: Path) -> list[Path]:
    """The videos directly in ``folder``, by name; none if there is no such folder."""
    return [path for entry in _entries(folder) if (path := Path(entry)).suffix.lower() in VIDEO_SUFFIXES]


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder``, by name; none if there is no such folder."""
    return [Path(entry) for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    # Names with a leading dot belong to files that are being written, or to macOS.
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def files_below(folder: Path, files: Callable[[Path], list[Path]]) -> Iterator[Path]:
    """The ``files`` (`images` or `videos`) in ``folder`` at any depth."""
    yield from files(folder)
    for inner in subfolders(folder):
        yield from files_below(inner, files)


def frames_beside(video: Path) -> Path:
    """The folder that extracted frames of ``video`` go into: ``frames/NAME`` beside it."""
    return video.parent / "frames" / video.stem


def read_text(path: Path) -> str:
    """The text in ``path``.

    Raises:
        BadLayout: if the file cannot be read or is not in UTF-8.
    """
    try:
        return read_file(path).decode("utf-8-sig")
    except OSError as error:
        raise BadLayout(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadLayout(f"{path} is no text in UTF-8") from None


def read_json(path: Path, form: type[Form], expected: str) -> Form:
    """The JSON value in ``path``, of the type ``form``, which an error calls ``expected``.

    Raises:
        BadLayout: if the file cannot be read, is no JSON or has another form.
    """
    try:
        return json.decode(read_text(path), type=form)
    except ValidationError as error:
        raise BadLayout(f"{path}: expected {expected}; {error}") from None
    except (DecodeError, RecursionError) as error:
        raise BadLayout(f"{path} is no JSON: {error}") from None
