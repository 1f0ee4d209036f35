"""``sfic-bench export``: a network as a file, checked before it is kept."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

import sfic_bench
from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options, training_options

Given = TypeVar("Given")


def export_command(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Folder of a finished run, whose network is written.")
    ] = None,
    to: Annotated[str, typer.Option(metavar="onnx|openvino|torch-export|torchscript", help="Its format.")] = "onnx",
    backbone: options.Backbone = "resnet26",
    alpha: options.Alpha = None,
    beta: options.Beta = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|imagenet",
            help="State dict of the network, or of its vanilla form, tensors alone; imagenet for published weights.",
        ),
    ] = None,
    input_size: options.InputSize = 256,
    classes: options.Classes = 2,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise the network of a RUN; its scales are found on images of --data.")
    ] = False,
    data: training_options.DataOption = "orl",
    calibration: training_options.Calibration = 256,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    trust_code: training_options.TrustCode = False,
) -> None:
    """Write a fused network for inference, any batch size, after comparing the file with torch.

    The network is a RUN's, or the one that the options name. Without RUN and --weights it has fresh weights: for
    measuring, not for detecting.
    """

    def given(option: str, value: Given) -> Given | None:
        """The value of an option that is on the command line or in a file of defaults; a run says the others itself."""
        source = context.get_parameter_source(option)
        return value if source is not None and source.name != "DEFAULT" else None

    sfic_bench.export(
        output, run, to=to, backbone=given("backbone", backbone), alpha=alpha, beta=beta, weights=weights,
        input_size=given("input_size", input_size), classes=given("classes", classes), int8=int8, data=data,
        calibration=calibration, on_unsupported=given("on_unsupported", on_unsupported), trust_code=trust_code,
    )  # fmt: skip
