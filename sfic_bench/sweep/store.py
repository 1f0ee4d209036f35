"""Where a sweep's results lie: a folder, or any URL that fsspec can write to.

``results/KEY.json`` of finished cells · ``failed/KEY.json`` why one failed, and ``failed/KEY.log`` what it said ·
``runs/KEY/`` of trainings · ``plan.json`` what the last sweep asked for · ``driver.json`` what it was doing when it last
wrote. Every file is complete or not there.
"""

import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from sfic_bench.errors import SficBenchError
from sfic_bench.report.files import UnwritableOutput, write_bytes_atomically


class UnusableStore(SficBenchError):
    """A place that results cannot be kept in or read from."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder or URL, which need not exist."""

    root: str

    @property
    def _is_local(self) -> bool:
        return "://" not in self.root

    def _where(self, name: str) -> tuple[Any, str]:
        try:
            fs, path = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise UnusableStore(f"cannot use {self.root}: {error}") from None
        return fs, f"{path.rstrip('/')}/{name}"

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a document as JSON.

        Raises:
            UnwritableOutput: if it cannot be written.
        """
        self.write_bytes(name, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        if self._is_local:
            target = Path(self.root) / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UnwritableOutput(f"cannot make {target.parent}: {error.strerror or error}") from None
            write_bytes_atomically(target, data)
            return
        fs, path = self._where(name)
        # Object stores keep a whole object or none; other file systems rename.
        beside = f"{path}.{secrets.token_hex(4)}.part"
        try:
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(beside, data)
            fs.mv(beside, path)
        except OSError as error:
            raise UnwritableOutput(f"cannot write {name} in {self.root}: {error}") from None

    def read(self, name: str) -> dict[str, Any] | None:
        """A document; ``None`` where there is none.

        Raises:
            UnusableStore: for one that is broken.
        """
        fs, path = self._where(name)
        try:
            found = json.loads(fs.cat_file(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnusableStore(f"cannot read {name} in {self.root}: {error}") from None
        if not isinstance(found, dict):
            raise UnusableStore(f"{name} in {self.root} holds no object")
        return found

    def keys(self, kind: str) -> set[str]:
        """Of the cells that have a file in ``results`` or ``failed``."""
        fs, path = self._where(kind)
        try:
            fs.invalidate_cache()
            names = fs.ls(path, detail=False)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise UnusableStore(f"cannot list {kind} in {self.root}: {error}") from None
        ends = (name.rpartition("/")[2] for name in names)
        return {
            name.removesuffix(".json") for name in ends if name.endswith(".json") and not name.startswith(".")
        }

    def has(self, name: str) -> bool:
        fs, path = self._where(name)
        return bool(fs.exists(path))

    def remove(self, *names: str) -> None:
        """Files that are not there are no error."""
        fs, _ = self._where("")
        for name in names:
            try:
                fs.rm_file(self._where(name)[1])
            except FileNotFoundError:
                continue

    @contextmanager
    def folder(self, name: str, *, keep: bool = True) -> Iterator[Path]:
        """The folder ``name`` on this machine; of a URL a copy, which goes there when the work is done, if that is to be kept."""
        if self._is_local:
            path = Path(self.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="sfic-bench-") as temporary:
            path = Path(temporary) / "run"
            if self.has(name):
                self._where("")[0].get(f"{self._where(name)[1]}/", f"{path}/", recursive=True)
            yield path
            for file in () if not keep else sorted(path.rglob("*")):
                if file.is_file():
                    self.write_bytes(f"{name}/{file.relative_to(path).as_posix()}", file.read_bytes())
