"""``sfic-bench publish``: a trained detector in the form of the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.cli.output import say
from sfic_bench.errors import InvalidValue, MissingDependency, first_line
from sfic_bench.extras import install_command


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
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidValue(f"{output} is there already: choose another folder, or remove it")
    try:
        from sfic_bench.hub import HubDetector
    except ImportError as error:
        raise MissingDependency(
            f"publish needs {error.name or error}, not installed: {install_command('train', 'hub')}"
        ) from None
    detector = HubDetector.from_run(run)
    detector.save_pretrained(output, model_card_kwargs={"license": licence})
    say(f"wrote {output}: read {output / 'README.md'}, its card")
    if push is not None:
        from huggingface_hub import HfApi

        hub = HfApi()
        try:
            hub.create_repo(push, private=private, exist_ok=True)
            place = hub.upload_folder(repo_id=push, folder_path=output)
        except Exception as error:  # whatever the Hub's client raises
            raise InvalidValue(f"cannot upload to {push}: {first_line(error)}; {output} is kept") from None
        say(f"uploaded to {place}")
