"""The files of a job are named by their content, so that its key does not depend on where they lie."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.errors import InvalidValue

if TYPE_CHECKING:
    from sfic_bench.data.manifest import Manifest

EMBEDDED = "orl"
"""The data set that needs no manifest."""


def content_name(path: Path) -> str:
    """The name of a file by its content.

    Raises:
        InvalidValue: for a file that cannot be read.
    """
    try:
        return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidValue(f"cannot read {path}: {error.strerror or error}") from None


def named_by_content(names: Iterable[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """The `content_name` of each manifest, and the paths by these names; relative paths start from ``folder``.

    Raises:
        InvalidValue: for a manifest that cannot be read.
    """
    paths = [None if name == EMBEDDED else (folder / name).resolve() for name in names]
    content_names = [EMBEDDED if path is None else content_name(path) for path in paths]
    files = {name: str(path) for name, path in zip(content_names, paths, strict=True) if path is not None}
    return content_names, files


def manifests(names: Iterable[str], files: Mapping[str, str], compression: Sequence[str]) -> "list[Manifest]":
    """The manifests that `named_by_content` named.

    Raises:
        InvalidValue: for a file that cannot be read or has changed since it was named.
        BadManifest: for a file that is no valid manifest.
    """
    from sfic_bench.data.manifest import read_manifest
    from sfic_bench.data.orl import orl

    read = []
    for name in names:
        if name != EMBEDDED and content_name(Path(files[name])) != name:
            raise InvalidValue(f"{files[name]} has changed since the sweep began: start it again")
        manifest = orl() if name == EMBEDDED else read_manifest(Path(files[name]))
        read.append(manifest.of_compression(*compression) if compression else manifest)
    return read
