"""Options and steps that the commands which train or use trained networks share."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import say
from sfic_bench.errors import MissingDependency
from sfic_bench.networks.variant import Variant
from sfic_bench.train.recipe import Precision

if TYPE_CHECKING:
    from sfic_bench.data.manifest import Manifest

Alpha = Annotated[float | None, typer.Option(metavar="A", help="Share of the frequency channels; none for vanilla.")]
Beta = Annotated[float | None, typer.Option(metavar="B", help="Scale of the frequency branch; 1 if only α is given.")]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="MANIFEST|orl",
        help="A manifest (`sfic-bench data import`), or the embedded default.",
    ),
]
Compression = Annotated[
    str, typer.Option(metavar="NAME[,…]", help="Only images of these compressions; all if not given.")
]
Epochs = Annotated[int, typer.Option(metavar="N", help="Passes over the images.")]
BatchSize = Annotated[int, typer.Option(metavar="N", help="Images a step, over all devices.")]
LearningRate = Annotated[float, typer.Option(metavar="X", help="Learning rate of the first epoch.")]
Decay = Annotated[float, typer.Option(metavar="X", help="Factor by which each epoch changes the learning rate.")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="Number format of the products.")]
DeviceCount = Annotated[
    int, typer.Option("--devices", metavar="N", help="Devices on this machine; torchrun sets it by itself.")
]
Workers = Annotated[int, typer.Option(metavar="N", help="Processes that decode images, for each device.")]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Go on without images that cannot be read, and count them.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]


def is_first_process() -> bool:
    """Whether this process writes the output of all that train together.

    Torchrun and Fabric number the processes in the environment.
    """
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def say_left_out(paths: Sequence[str]) -> None:
    """Say on stderr which images were left out, if any."""
    if paths:
        say(f"sfic-bench: left out {len(paths)} images that cannot be read, such as {paths[0]}")


def variant_of(backbone: str, alpha: float | None, beta: float | None, on_unsupported: str) -> Variant:
    """The network that ``--backbone``, ``--alpha`` and ``--beta`` name; β is 1 if only α is given."""
    from sfic_bench.networks import registry

    registry.check_name(backbone)
    if alpha is not None and beta is None:
        beta = 1.0
    return Variant(backbone=backbone, alpha=alpha, beta=beta, on_unsupported=options.unsupported(on_unsupported))


def manifest_of(data: str, compression: str) -> "Manifest":
    """The rows that ``--data`` and ``--compression`` name."""
    from sfic_bench.data.manifest import read_manifest
    from sfic_bench.data.orl import orl

    manifest = orl() if data == "orl" else read_manifest(Path(data))
    return manifest.of_compression(*options.parts(compression)) if compression else manifest


@contextmanager
def training_room() -> Iterator[None]:
    """Raises `MissingDependency` where the extra ``train`` is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("sfic_bench"):
            raise
        raise MissingDependency(f"training needs {error.name}: pip install 'sfic-bench[train]'") from None
