"""``sfic-bench framework``: configurations for DeepfakeBench and ForensicHub, and runs of what they have trained."""

from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import say
from sfic_bench.errors import InvalidValue
from sfic_bench.files import check_writable, write_bytes_atomically
from sfic_bench.frameworks.choices import Framework
from sfic_bench.networks import registry
from sfic_bench.networks.variant import Variant

framework_app = options.CommandApp(
    help="Networks in the trainers of DeepfakeBench and ForensicHub: write their configuration, and import weights."
)


@framework_app.command("config")
def config_command(
    framework: Annotated[Framework, typer.Argument(metavar="FRAMEWORK", help="deepfakebench or forensichub.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.yaml", help="The file to write.")],
    backbone: options.Backbone = "resnet50",
    alpha: options.Alpha = None,
    beta: options.Beta = None,
    input_size: options.InputSize = 256,
) -> None:
    """Write a YAML file by which FRAMEWORK trains a network of sfic-bench; edit its data sets and its recipe.

    FRAMEWORK knows the network once its code calls `register`, see docs/deepfakebench.md.
    """
    registry.check_name(backbone)
    if alpha is not None and beta is None:
        beta = 1.0
    variant = Variant(backbone=backbone, alpha=alpha, beta=beta)
    if output.exists():
        raise InvalidValue(f"{output} is there already: choose another file, or remove it")
    check_writable(output)
    from sfic_bench.frameworks import deepfakebench, forensichub  # import torch

    texts = {Framework.DEEPFAKEBENCH: deepfakebench.config_text, Framework.FORENSICHUB: forensichub.config_text}
    write_bytes_atomically(output, texts[framework](variant, input_size=input_size).encode())
    say(f"wrote {output}: {variant}")


@framework_app.command("import")
def import_command(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT", help="A file that DeepfakeBench or ForensicHub saved."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The run's folder.")],
    trust_code: training_options.TrustCode = False,
) -> None:
    """Make a run of a CHECKPOINT, with its network, input size and normalisation, for `sfic-bench evaluate` and others.

    The checkpoint says itself which network it holds. The run has neither scores nor thresholds of its own.
    """
    with training_options.training_packages():
        from sfic_bench.frameworks.weights import run_from_checkpoint

        run = run_from_checkpoint(checkpoint, output, trust_code=trust_code)
    config = run.config()
    size = config.recipe.input_size
    say(f"wrote {output}: {config.variant}, images of {size}×{size}, trained by {config.framework}")
