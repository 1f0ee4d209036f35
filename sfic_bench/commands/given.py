"""What callers name in short, in full: grids of networks, manifests, trained networks."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from sfic_bench.choices import OnUnsupported
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue, MissingDependency, member
from sfic_bench.extras import install_command
from sfic_bench.networks.grid import Grid, grid_of
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS

if TYPE_CHECKING:
    import pandas as pd

    from sfic_bench.data.manifest import Manifest
    from sfic_bench.training.logs import LoggerMaker

LOG = logging.getLogger(__name__)

Names = str | Sequence[str]
"""One name, or several."""

Ratios = float | Sequence[float] | None
"""One ratio, several, or ``None`` for the default."""

FilePath = str | PathLike[str]
"""A path as Python's own functions take it."""

if TYPE_CHECKING:
    OneOrMoreData = FilePath | Manifest | Sequence[FilePath | Manifest]
    Loggers = Names | Mapping[str, LoggerMaker] | None

One = TypeVar("One")


def names_in(names: Names) -> tuple[str, ...]:
    """The names one by one, of which a text may have several with commas between."""
    parts = names.split(",") if isinstance(names, str) else names
    return tuple(part.strip() for part in parts if part.strip())


def several(values: One | Sequence[One]) -> tuple[One, ...]:
    """``values`` one by one; one value that is no list or tuple is one."""
    return tuple(values) if isinstance(values, list | tuple) else (cast(One, values),)


def paths_in(paths: FilePath | Iterable[FilePath]) -> list[Path]:
    """The paths one by one."""
    return [Path(paths)] if isinstance(paths, str | PathLike) else [Path(path) for path in paths]


def grid_named(
    backbone: Names, alpha: Ratios, beta: Ratios, on_unsupported: OnUnsupported | str = OnUnsupported.JOIN, *,
    default_alphas: tuple[float, ...] = PAPER_ALPHAS, default_betas: tuple[float, ...] = PAPER_BETAS,
) -> Grid:  # fmt: skip
    """The grid of these networks, see `sfic_bench.networks.grid.grid_of`.

    Raises:
        UnknownName, InvalidValue: for a name, number or range that cannot be used.
    """
    return grid_of(
        names_in(backbone), None if alpha is None else several(alpha), None if beta is None else several(beta),
        member(OnUnsupported, on_unsupported, "value of on_unsupported"),
        default_alphas=default_alphas, default_betas=default_betas,
    )  # fmt: skip


def manifest_of(data: "FilePath | Manifest", compression: Names = ()) -> "Manifest":
    """The manifest that ``data`` is or names; with ``compression``, its images of these compressions.

    Raises:
        UnusableManifest: for a file that is no manifest.
        InvalidValue: if it has no images of a compression.
    """
    from sfic_bench.data.manifest import Manifest, read_manifest
    from sfic_bench.data.orl import orl

    manifest = data if isinstance(data, Manifest) else orl() if data == "orl" else read_manifest(Path(data))
    wanted = names_in(compression)
    return manifest.of_compression(*wanted) if wanted else manifest


def manifests_of(data: "OneOrMoreData", compression: Names = ()) -> "list[Manifest]":
    """The manifests that ``data`` are or name, see `manifest_of`."""
    each = data if isinstance(data, list | tuple) else [cast("FilePath | Manifest", data)]
    return [manifest_of(one, compression) for one in each]


def rows_of(manifest: "Manifest", split: SplitName) -> "pd.DataFrame":
    """The rows of ``manifest`` in a split.

    Raises:
        InvalidValue: if there are none.
    """
    rows = manifest.where(split=split)
    if not len(rows):
        raise InvalidValue(f"{manifest.name} has no rows of the split {split.value!r}")
    return rows


def loggers_of(logger: "Loggers") -> "dict[str, LoggerMaker]":
    """What makes the loggers that ``logger`` names or has.

    Raises:
        UnknownName: for a name that no logger has.
        MissingDependency: for a logger whose package is not installed.
    """
    from sfic_bench.training import loggers

    if isinstance(logger, Mapping):
        return dict(logger)
    return loggers.loggers_of(None if logger is None else names_in(logger))


@contextmanager
def training_packages() -> Iterator[None]:
    """Raise `MissingDependency` if the block imports a package that is not installed; the extra ``train`` brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("sfic_bench"):
            raise
        raise MissingDependency(f"training needs {error.name}: {install_command('train')}") from None


def tell_unreadable(paths: Sequence[str]) -> None:
    """Log that images were left out, if there are any."""
    if paths:
        LOG.warning("left out %d images that cannot be read, such as %s", len(paths), paths[0])
