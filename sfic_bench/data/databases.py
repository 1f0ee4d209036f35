r"""Images in LMDB databases, as DeepfakeBench keeps them.

A path leads through the folder of a database as through any other: ``lmdb/FF_lmdb/frames/071/000.png`` is the entry
``FF\frames\071\000.png`` of the database ``lmdb/FF_lmdb``. Entries of a database that was made elsewhere than on
Windows have slashes.
"""

import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sfic_bench.errors import MissingDependency, SficBenchError, first_line
from sfic_bench.extras import install_command

if TYPE_CHECKING:
    from lmdb import Environment

DATA, ENDING = "data.mdb", "_lmdb"
"""The file that makes a folder a database, and the end of the folder's name, which entries lack."""


class BadDatabase(SficBenchError):
    """A folder that is no readable database."""


def read_entry(path: Path) -> bytes | None:
    """The entry that ``path`` leads to; ``None`` if it leads through no database, or the database has no such entry.

    Raises:
        BadDatabase: for a database that cannot be read.
        MissingDependency: without the package lmdb.
    """
    folder = next((parent for parent in path.parents if (parent / DATA).is_file()), None)
    if folder is None:
        return None
    try:
        import lmdb
    except ImportError:
        raise MissingDependency(f"reading {folder} needs lmdb: {install_command('lmdb')}") from None
    name, parts = folder.name.removesuffix(ENDING), path.relative_to(folder).parts
    try:
        with _opened(folder.resolve()).begin() as transaction:
            for key in ("\\".join((name, *parts)), f"{name}\\" + "/".join(parts), "/".join((name, *parts))):
                if (value := transaction.get(os.fsencode(key))) is not None:
                    return bytes(value)
    except lmdb.Error as error:
        raise BadDatabase(f"cannot read the LMDB database {folder}: {first_line(error)}") from None
    return None


class _Open:
    """The databases that this process has open; lmdb opens none twice in one process."""

    def __init__(self) -> None:
        self.lock, self.databases = Lock(), dict[Path, "Environment"]()

    def close_inherited(self) -> None:
        """Close what a process was forked off with, since it can only use what it has opened itself."""
        for database in self.databases.values():
            database.close()
        self.lock, self.databases = Lock(), {}


_OPEN = _Open()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPEN.close_inherited)


def _opened(folder: Path) -> "Environment":
    import lmdb

    with _OPEN.lock:
        if folder not in _OPEN.databases:
            _OPEN.databases[folder] = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
        return _OPEN.databases[folder]
