"""``sfic-bench publish``: a trained detector in the form of the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench


def publish_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to make.")],
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="Licence of the weights, as the Hub names it: cc-by-nc-4.0."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload the folder to this repository of the Hub, too.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a repository that does not exist private.")] = False,
) -> None:
    """Write the network of a RUN as a folder of weights, configuration and card, and upload it on request.

    The card says what the detector was trained on and how, its scores with intervals, its cost beside the vanilla
    network's, and what it cannot tell. Read it before you upload. `sfic_bench.hub.HubDetector.from_pretrained` loads
    the folder or the repository; weights are safetensors, so that loading them runs no code.
    """
    sfic_bench.publish(run, output, licence=licence, push=push, private=private)
