"""``sfic-bench export``: a network as a file, checked before it is kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import say
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue
from sfic_bench.files import check_writable

if TYPE_CHECKING:
    from torch import Tensor

    from sfic_bench.train.inference import TrainedNetwork

OF_RUNS = ("alpha", "beta", "weights", "input_size", "classes", "on_unsupported")
"""The options whose values a run has."""


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
    check_writable(output)
    if int8 and run is None:
        raise InvalidValue("--int8 needs a RUN: scales are found on images as a trained network reads them")
    images: list[Tensor] = []
    if run is not None:
        trained = _trained(context, run, backbone, trust_code)
        model, input_size = trained.fused(), trained.recipe.input_size
        if int8:
            images = _calibration(trained, data, calibration)
    elif alpha is None and beta is not None:
        raise InvalidValue("--beta needs --alpha: a vanilla network has no frequency branch")
    else:
        from sfic_bench import api  # imports torch

        unfused = api.build(
            backbone, alpha=alpha, beta=beta, classes=classes, on_unsupported=on_unsupported, weights=weights,
            input_size=input_size,
        )  # fmt: skip
        model = api.fuse(unfused.eval(), input_size=input_size)
    from sfic_bench.deploy.export import export

    exported = export(model, output, format=to, input_size=input_size, calibration=images)
    batches = " and ".join(map(str, exported.batches))
    plural = "batches" if len(exported.batches) > 1 else "a batch"
    differ = "differ" if len(exported.batches) > 1 else "differs"
    say(f"wrote {exported.path}: {plural} of {batches} {differ} from torch by {exported.max_abs_error:.1e} at most")
    if int8:
        say("sfic-bench deploy measures what int8 loses in accuracy and gains in time")
    if run is not None:
        expected = trained.normalisation
        say(
            f"{trained.variant}: its input is RGB, {input_size}×{input_size}, in [0, 1], less {expected.mean}, over "
            f"{expected.std}; its output is the logits of real and fake"
        )


def _calibration(trained: "TrainedNetwork", data: str, count: int) -> "list[Tensor]":
    """Batches of training images of ``--data``, as the network of a run reads them."""
    from sfic_bench.deploy.calibration import evenly, inputs_of
    from sfic_bench.train.splits import UnreadablePaths

    manifest = training_options.manifest_of(data, "")
    examples = training_options.rows_of(manifest, SplitName.TRAIN)
    return list(inputs_of(trained, evenly(examples, count), manifest.folder, UnreadablePaths(skip=False)))


def _trained(context: typer.Context, run: Path, backbone: str, trust_code: bool) -> "TrainedNetwork":
    """The network of ``run``.

    Raises:
        InvalidValue: if an option is given whose value the run has.
    """

    def is_given(option: str) -> bool:
        source = context.get_parameter_source(option)
        return source is not None and source.name == "COMMANDLINE"

    if given := [name for name in OF_RUNS if is_given(name)]:
        raise InvalidValue(f"{run} says which network it is: leave --{given[0].replace('_', '-')} out")
    with training_options.training_packages():
        from sfic_bench.train.inference import TrainedNetwork
        from sfic_bench.train.runs import Run

        return TrainedNetwork(Run(run), backbone=backbone if is_given("backbone") else None, trust_code=trust_code)
