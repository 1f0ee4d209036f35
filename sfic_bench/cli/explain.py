"""``sfic-bench explain``: what conversion would do to a network, before anything is changed."""

from typing import Annotated

import typer

import sfic_bench
from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.terminal import view_of


def explain_command(
    backbone: options.Backbone = "resnet26",
    alpha: Annotated[float, typer.Option(metavar="A", help="Share of the frequency channels.")] = 0.5,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    all: Annotated[bool, typer.Option("--all", help="Show norms, activations and sums, too.")] = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Show where a network's stages go: head, Stage 1, 2, 3, and what stays vanilla."""
    out = Output(format=format, path=output)
    out.emit(view_of(sfic_bench.explain(backbone, alpha=alpha, on_unsupported=on_unsupported, all=all)))
