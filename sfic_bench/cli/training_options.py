"""Options and steps that the commands which train or use trained networks share."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.cli.options import parts
from sfic_bench.cli.output import say
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.extras import install_command

if TYPE_CHECKING:
    import pandas as pd

    from sfic_bench.data.manifest import Manifest

DataOption = Annotated[
    str,
    typer.Option(
        "--data", metavar="MANIFEST|orl", help="A manifest (`sfic-bench data import`), or the embedded default."
    ),
]
Compression = Annotated[
    str, typer.Option(metavar="NAME[,…]", help="Only images of these compressions; all if not given.")
]
RunCode = Annotated[
    str | None,
    typer.Option(
        "--backbone", metavar="FILE.py:FUNCTION", help="The file that defines the run's network, if it is from a file.",
        show_default=False,
    ),
]  # fmt: skip
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the Python file that a run names, although only the run names it.")
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Go on without images that cannot be read, and count them.")
]
Calibration = Annotated[
    int, typer.Option(metavar="N", help="Number of training images on which the scales of int8 are found.")
]
Workers = Annotated[int, typer.Option(metavar="N", help="Processes that decode images, for each device.")]
RunArguments = Annotated[
    list[Path], typer.Argument(metavar="RUN…", help="Folders of finished runs: networks to compare, and their seeds.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]


def is_first_process() -> bool:
    """Whether this process writes the output of all processes that train together.

    Torchrun and Fabric number the processes in the environment.
    """
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def report_unreadable(paths: Sequence[str]) -> None:
    """Write to stderr that images were left out, if there are any."""
    if paths:
        say(f"sfic-bench: left out {len(paths)} images that cannot be read, such as {paths[0]}")


def manifest_of(data: str, compression: str) -> "Manifest":
    """The manifest that ``--data`` names, with the images of ``--compression``."""
    from sfic_bench.data.manifest import read_manifest
    from sfic_bench.data.orl import orl

    manifest = orl() if data == "orl" else read_manifest(Path(data))
    return manifest.of_compression(*parts(compression)) if compression else manifest


def rows_of(manifest: "Manifest", split: SplitName) -> "pd.DataFrame":
    """The rows of ``manifest`` in a split.

    Raises:
        InvalidValue: if there are none.
    """
    rows = manifest.where(split=split)
    if not len(rows):
        raise InvalidValue(f"{manifest.name} has no rows of the split {split.value!r}")
    return rows


@contextmanager
def training_packages() -> Iterator[None]:
    """Raise `MissingDependency` if the block imports a package that is not installed; the extra ``train`` brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("sfic_bench"):
            raise
        raise MissingDependency(f"training needs {error.name}: {install_command('train')}") from None
