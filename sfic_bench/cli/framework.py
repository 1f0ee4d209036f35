"""``sfic-bench framework``: configurations for DeepfakeBench and ForensicHub, and runs of what they have trained."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.cli import options, training_options
from sfic_bench.frameworks.choices import Framework

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
    sfic_bench.framework_config(framework, output, backbone=backbone, alpha=alpha, beta=beta, input_size=input_size)


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
    sfic_bench.framework_import(checkpoint, output, trust_code=trust_code)
