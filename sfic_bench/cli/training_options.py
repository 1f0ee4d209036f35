"""Options and steps that the commands which train or use trained networks share."""

from pathlib import Path
from typing import Annotated

import typer

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
LoggerOption = Annotated[
    str | None,
    typer.Option(
        "--logger", metavar="NAME[,…]|none",
        help="Where each epoch's scores are logged, too: tensorboard, wandb, mlflow or a plug-in's. "
        "Default: tensorboard.", show_default=False,
    ),
]  # fmt: skip
RunArguments = Annotated[
    list[Path], typer.Argument(metavar="RUN…", help="Folders of finished runs: networks to compare, and their seeds.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
