"""``sfic-bench explain``: what conversion would do to a network, before anything is changed."""

from typing import Annotated

import typer

from sfic_bench.cli import options
from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output, Result
from sfic_bench.report import Column, Table, environment
from sfic_bench.spec import check_alpha

SCHEMA = "sfic-bench/placement/1"


def explain_command(
    backbone: Annotated[
        str,
        typer.Option(metavar="NAME", help="A name from `sfic-bench list`, timm:NAME, … or FILE.py:FUNCTION."),
    ] = "resnet26",
    alpha: Annotated[float, typer.Option(metavar="A", help="Share of the frequency channels.")] = 0.5,
    on_unsupported: options.Unsupported = "error",
    all: Annotated[bool, typer.Option("--all", help="Norms, activations and sums, too.")] = False,
    format: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Show where a network's stages go: head, Stage 1, 2, 3, and what stays vanilla."""
    out = Output(format=format, path=output)
    keep = options.unsupported(on_unsupported)
    check_alpha(alpha)
    from sfic_bench import api  # imports torch

    model = api.build(backbone, device="meta")
    placement = api.explain_placement(model, alpha=alpha, on_unsupported=keep)
    steps = [s for s in placement.steps if all or s.role != "per branch"]
    records = [
        {
            "path": s.path,
            "operation": s.operation,
            "role": s.role,
            "spatial": None if s.split is None else s.split.spatial,
            "frequency": None if s.split is None else s.split.frequency,
            "note": s.note,
        }
        for s in steps
    ]
    names = ("module", "operation", "becomes", "S", "F", "")
    rows = [["" if v is None else str(v) for v in r.values()] for r in records]
    out.emit(
        Result(
            document={"schema": SCHEMA, "environment": environment(), "backbone": backbone, "rows": records},
            tables=[
                Table(
                    title=f"{backbone} as an SFIC network, α = {alpha:g}",
                    columns=[Column(name=n, number=n in "SF" and n != "") for n in names],
                    rows=rows,
                    notes=[placement.summary],
                )
            ],
            records=records,
        )
    )
