"""Files that are either complete or not there."""

import os
import tempfile
from pathlib import Path

from sfic_bench.errors import SficBenchError

RANDOM = 8
"""Characters that `tempfile` puts behind a name."""


class UnwritableOutput(SficBenchError):
    """A file that cannot be written."""


def check_writable(path: Path) -> None:
    """Raise `UnwritableOutput` now rather than after the work is done."""
    folder = path.parent
    if path.is_dir():
        raise UnwritableOutput(f"cannot write {path}: it is a folder; name a file in it")
    if not folder.is_dir():
        raise UnwritableOutput(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UnwritableOutput(f"cannot write {path}: permission denied")


def write_atomically(path: Path, text: str) -> None:
    """`write_bytes_atomically`, of text in UTF-8."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write beside ``path`` and rename: a reader sees the old file or the whole new one.

    Raises:
        UnwritableOutput: if the file cannot be written; an old one is left as it was.
    """
    check_writable(path)
    target = path.resolve()  # through a link, so that the link stays one
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files that only their owner can read.
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
            Path(name).chmod(mode)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from error


def remove_unfinished(folder: Path) -> None:
    """Take away what `write_bytes_atomically` had begun in ``folder`` when its process was killed."""
    for path in folder.glob(f".?*.{'?' * RANDOM}"):
        if path.is_file():
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
