"""Manifests of a job: named by their content, so that a key does not depend on where they lie."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.errors import InvalidValue

if TYPE_CHECKING:
    from sfic_bench.data.manifest import Manifest

EMBEDDED = "orl"
"""The data set that needs no manifest."""


def named_by_content(names: Iterable[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Manifests, whose paths start from ``folder``, as `content_name`, and the path of each.

    Raises:
        InvalidValue: for one that cannot be read.
    """
    named, files = [], {}
    for name in names:
        if name == EMBEDDED:
            named.append(name)
            continue
        path = (folder / name).resolve()
        named.append(_content(path))
        files[named[-1]] = str(path)
    return named, files


def manifests(names: Iterable[str], files: Mapping[str, str], compression: Sequence[str]) -> "list[Manifest]":
    """What `named_by_content` named, read.

    Raises:
        InvalidValue: for one that cannot be read or is not what it was.
        BadManifest: for one that cannot be used.
    """
    from sfic_bench.data.manifest import read_manifest
    from sfic_bench.data.orl import orl

    read = []
    for name in names:
        if name == EMBEDDED:
            manifest = orl()
        else:
            path = Path(files[name])
            if _content(path) != name:
                raise InvalidValue(f"{path} has changed since the sweep began: start it again")
            manifest = read_manifest(path)
        read.append(manifest.of_compression(*compression) if compression else manifest)
    return read


def content_name(data: bytes) -> str:
    """The name of a file by its content."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _content(path: Path) -> str:
    try:
        return content_name(path.read_bytes())
    except OSError as error:
        raise InvalidValue(f"cannot read the manifest {path}: {error.strerror or error}") from None
