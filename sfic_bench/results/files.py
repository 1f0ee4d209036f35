"""Writes files so that each is either complete or absent."""

import os
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE

from sfic_bench.errors import SficBenchError

RANDOM = 8
"""The number of random characters at the end of an unfinished file's name."""


class UnwritableOutput(SficBenchError):
    """A file that cannot be written."""


def check_writable(path: Path) -> None:
    """Raise `UnwritableOutput` if ``path`` cannot be written, so that the work is not done in vain."""
    folder = path.parent
    if path.is_dir():
        raise UnwritableOutput(f"cannot write {path}: it is a folder; name a file in it")
    if not folder.is_dir():
        raise UnwritableOutput(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UnwritableOutput(f"cannot write {path}: permission denied")


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, see `write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write a file beside ``path`` and rename it, so that a reader sees the old file or the whole new one.

    Raises:
        UnwritableOutput: if the file cannot be written; an old file stays as it was.
    """
    check_writable(path)
    target = path.resolve()  # a link stays a link
    unfinished = target.with_name(f".{target.name}.{token_hex(RANDOM // 2)}")
    try:
        try:
            with unfinished.open("xb") as file:
                if target.exists():
                    unfinished.chmod(S_IMODE(target.stat().st_mode))
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files that killed processes left in ``folder``, see `write_bytes_atomically`."""
    for path in folder.glob(f".?*.{'?' * RANDOM}"):
        if path.is_file():
            path.unlink(missing_ok=True)
