"""Checksums of the files of a folder, so that a damaged file is noticed when it is read.

They stand in ``SHA256SUMS``, in the form of the command ``sha256sum``, which can check them too. A line is added before
its file is replaced, so that either content has its line if the process is killed in between. Hence a file may have
several lines, until `settle` removes those that no longer hold.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sfic_bench.errors import SficBenchError
from sfic_bench.files import UnwritableOutput, write_atomically, write_bytes_atomically

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\x00\r\n]+)")


class DamagedFile(SficBenchError):
    """A file that differs from what was written."""


def write_with_checksum(path: Path, data: bytes) -> None:
    """Write ``data`` and its checksum; a reader sees the old file or the whole new one.

    Raises:
        UnwritableOutput: if the file cannot be written; an old one is left as it was.
    """
    try:
        with (path.parent / SUMS).open("ab") as sums:
            # Another process, or one that was killed, may have left a line without its end.
            sums.write(f"\n{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode())
            sums.flush()
            os.fsync(sums.fileno())
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path.parent / SUMS}: {error.strerror or error}") from error
    write_bytes_atomically(path, data)


def read_with_checksum(path: Path) -> bytes:
    """The content of ``path``, after a check; a folder without checksums, as older versions wrote them, passes.

    Raises:
        OSError: if the file cannot be read.
        DamagedFile: if none of its checksums is that of its content.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[bytes, str]:
    """The checked content of ``path``, and its checksum."""
    data, sums = path.read_bytes(), _sums(path.parent)
    digest = hashlib.sha256(data).hexdigest()
    if sums is not None and digest not in sums.get(path.name, ()):
        raise DamagedFile(
            f"{path} is damaged: its SHA-256 is not the one in {SUMS}; restore it from a copy, or remove the folder "
            "and start again"
        )
    return data, digest


def check_files(folder: Path, patterns: Iterable[str]) -> None:
    """Check all files in ``folder`` whose names fit ``patterns``.

    Raises:
        OSError: if a file cannot be read.
        DamagedFile: for the first file that differs from what was written.
    """
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            read_with_checksum(path)


def add_checksums(folder: Path, patterns: Iterable[str]) -> None:
    """Begin ``SHA256SUMS`` with the files of ``folder`` as they are now.

    Raises:
        UnwritableOutput: if it cannot be written.
    """
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    _write_sums(folder, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths})


def settle(folder: Path) -> None:
    """Remove from ``SHA256SUMS`` the lines that do not hold, so that ``sha256sum --check`` succeeds.

    Raises:
        DamagedFile: for a file that differs from what was written.
        UnwritableOutput: if ``SHA256SUMS`` cannot be written.
    """
    names = [name for name in _sums(folder) or () if (folder / name).exists()]
    _write_sums(folder, {name: _read(folder / name)[1] for name in names})


def has_checksums(folder: Path) -> bool:
    """Whether ``folder`` has checksums."""
    return (folder / SUMS).exists()


def _write_sums(folder: Path, digests: Mapping[str, str]) -> None:
    write_atomically(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in digests.items()))


def _sums(folder: Path) -> dict[str, set[str]] | None:
    try:
        text = (folder / SUMS).read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    sums: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            sums.setdefault(match[2], set()).add(match[1])
    return sums
