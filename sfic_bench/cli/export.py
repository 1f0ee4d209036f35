"""``sfic-bench export``: a network as a file, checked before it is kept."""

from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import say
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.variant import OnUnsupported


def export_command(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    to: Annotated[str, typer.Option(metavar="onnx|torch-export|torchscript", help="Its format.")] = "onnx",
    backbone: options.Backbone = "resnet26",
    alpha: options.Alpha = None,
    beta: options.Beta = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="State dict of the network, or of its vanilla form; tensors alone."),
    ] = None,
    input_size: options.InputSize = 256,
    classes: options.Classes = 2,
    on_unsupported: options.Unsupported = OnUnsupported.ERROR,
) -> None:
    """Write a fused network for inference, any batch size, after comparing the file with torch.

    Without --weights the network has fresh ones: for measuring, not for detecting.
    """
    if alpha is None and beta is not None:
        raise InvalidValue("--beta needs --alpha: a vanilla network has no frequency branch")
    from sfic_bench import api  # imports torch
    from sfic_bench.deploy.export import export

    model = api.build(
        backbone, alpha=alpha, beta=beta, classes=classes, on_unsupported=on_unsupported, weights=weights,
        input_size=input_size,
    )  # fmt: skip
    exported = export(api.fuse(model.eval()), output, format=to, input_size=input_size)
    batches = " and ".join(map(str, exported.batches))
    say(f"wrote {exported.path}: batches of {batches} differ from torch by {exported.max_abs_error:.1e} at most")
