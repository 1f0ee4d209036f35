"""``sfic-bench explain``: what conversion would do to a network, before anything is changed."""

from typing import Annotated

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, View
from sfic_bench.networks.ratios import check_alpha
from sfic_bench.report.cells import number
from sfic_bench.report.columns import Cells, tabulated
from sfic_bench.results.catalogue import ExplainedRow, PlacementResult
from sfic_bench.results.environment import environment


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
    check_alpha(alpha)
    from sfic_bench import api  # imports torch

    model = api.build(backbone, device="meta")
    explanation = api.explain_placement(model, alpha=alpha, on_unsupported=on_unsupported)
    rows = [
        ExplainedRow(
            path=o.path, operation=o.operation, role=o.role, note=o.note,
            spatial=None if o.split is None else o.split.spatial,
            frequency=None if o.split is None else o.split.frequency,
        )
        for o in explanation.operations
        if all or o.role != "per branch"
    ]  # fmt: skip
    columns = (
        Cells[ExplainedRow]("module", lambda row: row.path, number=False),
        Cells[ExplainedRow]("operation", lambda row: row.operation, number=False),
        Cells[ExplainedRow]("becomes", lambda row: row.role, number=False),
        Cells[ExplainedRow]("S", lambda row: number(row.spatial, ",")),
        Cells[ExplainedRow]("F", lambda row: number(row.frequency, ",")),
        Cells[ExplainedRow]("remark", lambda row: row.note, number=False),
    )
    title = f"{backbone} as an SFIC network, α = {alpha:g}"
    table = tabulated(title, columns, rows, notes=[explanation.summary])
    result = PlacementResult(environment=environment(), backbone=backbone, rows=rows, share=explanation.share)
    out.emit(View(result=result, tables=[table], rows=rows))
