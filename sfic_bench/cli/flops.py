"""``sfic-bench flops``: parameters and MACs over the α/β grid."""

from typing import Annotated

import typer

import sfic_bench
from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.processes import cores


def flops_command(
    backbone: options.Backbones = "all",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    input_size: options.InputSize = 256,
    classes: options.Classes = 2,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    convention: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="What counts as a MAC in tables; JSON and CSV have all conventions. Default: paper and conv-linear.",
        ),
    ] = None,
    per_layer: Annotated[bool, typer.Option(help="Add a table of every layer.")] = False,
    peers: Annotated[
        bool,
        typer.Option(
            help="Run fvcore, thop, ptflops and torch's FlopCounterMode too, and explain each difference. "
            "Exit status 1 if something stays unexplained."
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=False,
            help="Processes that count several backbones side by side; default: as many as cores.",
        ),
    ] = None,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Count parameters and MACs of backbones and their SFIC forms, without computing anything.

    A network among several that cannot be converted is named on stderr, and the exit status is 1.
    """
    alphas, betas = options.ratios(alpha, beta)
    out = Output(format=format, path=output)
    from sfic_bench.commands.tables import cost_tables
    from sfic_bench.counting import conventions  # imports torch

    shown = [conventions.get(convention).name] if convention else ["paper", conventions.DEFAULT]
    result = sfic_bench.flops(
        options.parts(backbone), alpha=alphas, beta=betas, input_size=input_size, classes=classes,
        on_unsupported=on_unsupported, per_layer=per_layer, peers=peers, reference=convention or "paper",
        workers=workers or cores(), watch=Terminal(out, view_of),
    )  # fmt: skip
    out.emit(view_of(result, tables=cost_tables(result, shown)))
    is_complete = len(result.rows) == len(options.grid(backbone, alpha, beta, on_unsupported))
    if not is_complete or any(peer.unexplained for row in result.rows for peer in row.peers):
        raise typer.Exit(1)
