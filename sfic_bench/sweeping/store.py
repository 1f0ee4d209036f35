"""Where a sweep's results lie: a folder, or any URL that fsspec can write to.

- ``results/KEY.json`` has the result of a finished job;
- ``failed/KEY.json`` has the reason why a job failed, and ``failed/KEY.log`` what it printed;
- ``runs/KEY/`` has the run of a training;
- ``state/plan.json`` has what the last sweep was asked for, and ``state/driver.json`` what it was doing.

Every file is either complete or absent.
"""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import fsspec
from msgspec import DecodeError, Struct, json

from sfic_bench.errors import SficBenchError
from sfic_bench.files import UnwritableOutput, remove_unfinished, write_bytes_atomically
from sfic_bench.results.checksums import SUMS
from sfic_bench.results.write import to_json

Document = TypeVar("Document", bound=Struct)

SENT_EVERY_S = 30.0
"""How often a run's new files are sent to a URL; a lost node loses no more than what is newer."""


class UnusableStore(SficBenchError):
    """A place that results cannot be kept in or read from."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder or URL, which need not exist."""

    root: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder."""
        return "://" not in self.root

    def _locate(self, name: str) -> tuple[Any, str]:
        """The file system of fsspec, and the path of ``name`` in it."""
        try:
            fs, path = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise UnusableStore(f"cannot use {self.root}: {error}") from None
        return fs, f"{path.rstrip('/')}/{name}"

    def write(self, name: str, document: Struct) -> None:
        """Keep a document as JSON.

        Raises:
            UnwritableOutput: if it cannot be written.
        """
        self.write_bytes(name, to_json(document).encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        if self.is_local:
            target = Path(self.root) / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UnwritableOutput(f"cannot make {target.parent}: {error.strerror or error}") from None
            write_bytes_atomically(target, data)
            return
        fs, path = self._locate(name)
        # An object store keeps a whole object or none, but another file system may keep a part of a file.
        unfinished = f"{path}.{secrets.token_hex(4)}.part"
        try:
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(unfinished, data)
            fs.mv(unfinished, path)
        except OSError as error:
            raise UnwritableOutput(f"cannot write {name} in {self.root}: {error}") from None

    def read_bytes(self, name: str) -> bytes | None:
        """A file's content; ``None`` if there is no such file.

        Raises:
            UnusableStore: if it cannot be read.
        """
        fs, path = self._locate(name)
        try:
            return bytes(fs.cat_file(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnusableStore(f"cannot read {name} in {self.root}: {error}") from None

    def read(self, name: str, type: type[Document]) -> Document | None:
        """A document; ``None`` if there is no such file.

        Raises:
            UnusableStore: if it cannot be read or is broken.
        """
        data = self.read_bytes(name)
        try:
            return None if data is None else json.decode(data, type=type)
        except (DecodeError, UnicodeDecodeError) as error:
            raise UnusableStore(
                f"cannot read {name} in {self.root}: {error}; if no sweep writes there now, remove the file and run "
                "the sweep again"
            ) from None

    def keys(self, kind: str) -> set[str]:
        """The keys of the jobs that have a file in the folder ``results`` or ``failed``."""
        fs, path = self._locate(kind)
        try:
            fs.invalidate_cache()
            names = fs.ls(path, detail=False)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise UnusableStore(f"cannot list {kind} in {self.root}: {error}") from None
        ends = (name.rpartition("/")[2] for name in names)
        return {name.removesuffix(".json") for name in ends if name.endswith(".json") and not name.startswith(".")}

    def has(self, name: str) -> bool:
        fs, path = self._locate(name)
        fs.invalidate_cache()  # other processes write here too
        return bool(fs.exists(path))

    def remove_unfinished(self, *kinds: str) -> None:
        """Remove from the folders ``kinds`` what a killed process had not finished writing."""
        for kind in kinds:
            if self.is_local:
                remove_unfinished(Path(self.root) / kind)
                continue
            fs, path = self._locate(kind)
            for name in fs.glob(f"{path}/*.part"):
                fs.rm_file(name)

    def remove(self, *names: str) -> None:
        """Remove those of the files ``names`` that exist."""
        for name in names:
            fs, path = self._locate(name)
            with suppress(FileNotFoundError):
                fs.rm_file(path)

    @contextmanager
    def folder(self, name: str, *, only: str | None = None) -> Iterator[Path]:
        """The folder ``name`` on this machine; for a URL a copy, whose new files are sent there now and then.

        With the pattern ``only``, the copy has only the files that match it, and is not sent back.
        """
        if self.is_local:
            path = Path(self.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="sfic-bench-") as temporary:
            path = Path(temporary) / "run"
            fs, remote = self._locate(name)
            if only is not None:
                fs.get(fs.glob(f"{remote}/{only}"), f"{path}/")
                yield path
                return
            if self.has(name):
                fs.get(f"{remote}/", f"{path}/", recursive=True)
            sent = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
            try:
                with called_every(SENT_EVERY_S, lambda: self._send(path, name, sent)):
                    yield path
            finally:
                self._send(path, name, sent)

    def _send(self, folder: Path, name: str, sent: dict[Path, int]) -> None:
        """Send the files that changed since ``sent``, in the order in which they were written."""
        written_at = {}
        for file in folder.rglob("*"):
            with suppress(FileNotFoundError):  # the file was replaced in the meantime
                if file.is_file() and not file.name.startswith("."):
                    written_at[file] = file.stat().st_mtime_ns
        # Checksums go first: a file that has none yet would seem damaged, a checksum without its file does no harm.
        for file, time_ns in sorted(written_at.items(), key=lambda item: (item[0].name != SUMS, item[1])):
            if sent.get(file) != time_ns:
                self.write_bytes(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())
                sent[file] = time_ns


@contextmanager
def called_every(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    """Call ``call`` every so many seconds, in a thread, while the block runs; a call that cannot write is left out."""
    over = Event()

    def calls() -> None:
        while not over.wait(seconds):
            with suppress(SficBenchError, OSError):
                call()

    thread = Thread(target=calls, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
