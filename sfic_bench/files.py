"""Writes files so that each is either complete or absent. A device or a pipe is written to and never replaced."""

import errno
import os
import select
import time
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE, S_ISDIR, S_ISFIFO, S_ISREG

from sfic_bench.errors import SficBenchError

RANDOM = 8
"""The number of random characters at the end of an unfinished file's name."""


class UnwritableOutput(SficBenchError):
    """A file that cannot be written."""


PATIENCE_S = 10.0
"""How long a pipe is waited for that nobody writes to."""


def read_file(path: Path) -> bytes:
    """The content of a regular file, or of a pipe that somebody writes to.

    Raises:
        OSError: if it cannot be read, is a device, or is a pipe without a writer; ``strerror`` says why.
    """
    kind = path.stat().st_mode
    if S_ISFIFO(kind):
        return _read_pipe(path)
    if not S_ISREG(kind) and not S_ISDIR(kind):
        raise OSError(errno.EINVAL, "it is a device, expected a file", str(path))
    return path.read_bytes()


def _read_pipe(path: Path) -> bytes:
    # Opening a pipe waits until somebody writes to it, unless it is opened without blocking.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        parts: list[bytes] = []
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                part = os.read(descriptor, 2**20)
            except BlockingIOError:  # somebody has it open and has written nothing
                select.select([descriptor], [], [], 1.0)
                continue
            if part:
                parts.append(part)
            elif parts or time.monotonic() > end:
                break
            else:
                time.sleep(0.05)
    finally:
        os.close(descriptor)
    if not parts:
        raise OSError(errno.ETIMEDOUT, "it is a pipe that nobody writes to", str(path))
    return b"".join(parts)


def check_writable(path: Path) -> None:
    """Raise `UnwritableOutput` if ``path`` cannot be written, so that the work is not done in vain."""
    folder = path.parent
    try:
        path.resolve()
    except (OSError, RuntimeError):  # Python 3.11 raises the latter for a link that leads to itself
        raise UnwritableOutput(f"cannot write {path}: its links lead in a circle") from None
    if path.is_dir():
        raise UnwritableOutput(f"cannot write {path}: it is a folder; name a file in it")
    if not folder.is_dir():
        raise UnwritableOutput(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UnwritableOutput(f"cannot write {path}: permission denied")


def is_replaceable(path: Path) -> bool:
    """Whether ``path`` is a regular file or a free name; a device, a pipe or the like is written to as it is.

    What a link in ``/dev`` or ``/proc`` leads to may be a regular file that another process has open, as the shell has
    what ``/dev/stdout`` leads to.
    """
    return not str(path.absolute()).startswith(("/dev/", "/proc/")) and (path.is_file() or not path.exists())


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
        if not is_replaceable(path):
            with path.open("wb") as device:
                device.write(data)
            return
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
