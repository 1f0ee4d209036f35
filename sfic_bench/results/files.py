"""Writes files so that each is either complete or absent."""

import os
import tempfile
from pathlib import Path

from sfic_bench.errors import SficBenchError

RANDOM = 8
"""The number of random characters that `tempfile` appends to a name."""


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
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp creates files that only their owner can read.
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
            Path(name).chmod(mode)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files that killed processes left in ``folder``, see `write_bytes_atomically`."""
    for path in folder.glob(f".?*.{'?' * RANDOM}"):
        if path.is_file():
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
