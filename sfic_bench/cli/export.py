"""``sfic-bench export``: a network as a file, checked before it is kept."""

from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import say
from sfic_bench.errors import InvalidValue


def export_command(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    to: Annotated[str, typer.Option(metavar="onnx|torch-export|torchscript", help="Its format.")] = "onnx",
    backbone: Annotated[
        str,
        typer.Option(metavar="NAME", help="A name from `sfic-bench list`, timm:NAME, … or FILE.py:FUNCTION."),
    ] = "resnet26",
    alpha: Annotated[
        float | None, typer.Option(metavar="A", help="Share of the frequency channels; none: vanilla.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(metavar="B", help="Scale of the frequency branch; 1 if not given.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="State dict of the network, or of its vanilla form; tensors alone."),
    ] = None,
    input_size: options.InputSize = 256,
    classes: options.Classes = 2,
    on_unsupported: options.Unsupported = "error",
) -> None:
    """Write a fused network for inference, any batch size, after comparing the file with torch.

    Without --weights the network has fresh ones: for measuring, not for detecting.
    """
    keep = options.unsupported(on_unsupported)
    if alpha is None and beta is not None:
        raise InvalidValue("--beta needs --alpha: a vanilla network has no frequency branch")
    from sfic_bench import api  # imports torch
    from sfic_bench.deploy.export import export

    model = api.build(
        backbone,
        alpha=alpha,
        beta=beta,
        classes=classes,
        on_unsupported=keep,
        weights=weights,
        input_size=input_size,
    )
    done = export(api.fuse(model.eval()), output, format=to, input_size=input_size)
    batches = " and ".join(map(str, done.batches))
    say(f"wrote {done.path}: batches of {batches} differ from torch by {done.max_abs_error:.1e} at most")
