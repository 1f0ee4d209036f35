"""``sfic-bench table``: an accuracy table of the paper, measured and printed side by side."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.choices import TableNumber
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import Format, Output, show
from sfic_bench.cli.recipe_options import with_recipe
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.errors import InvalidValue
from sfic_bench.processes import is_first_process
from sfic_bench.training.recipe import Recipe, TrainingDevices


@with_recipe(without=("seed",))
def table_command(
    *,
    number: Annotated[TableNumber, typer.Argument(metavar="TABLE", help="The paper's number, from II to IX.")],
    data: Annotated[
        str, typer.Option("--data", metavar="MANIFEST[,…]", help="Manifests (`sfic-bench data import`).")
    ] = "",
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the runs; finished runs are not repeated.")
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Fill the table with these results of `accuracy` or `sweep`. Repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and for how long, and train nothing.")
    ] = False,
    seeds: Annotated[str, typer.Option(metavar="N[,N…]", help="Seeds; each network has a run for each.")] = "7",
    recipe: Recipe,
    devices: TrainingDevices,
    logger: training_options.LoggerOption = None,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Train and score exactly the networks of one of the paper's tables, and show it as the paper does.

    Each cell has the measured figure beside the printed one, and a verdict where the images were drawn as the paper
    draws them. Finished runs are found again, and the same command goes on with those that were stopped.
    """
    out, seed_list = Output(format=format, path=output), options.counts("--seeds", seeds)
    if results:
        out.emit(view_of(sfic_bench.fill_table(number, results)))
        return
    if not data or runs is None:
        raise InvalidValue("--data and --runs are needed to train; --results fills the table with what was measured")
    terminal = Terminal(out, view_of)
    if dry_run:
        plan = sfic_bench.plan_table(
            number, options.parts(data), runs, seeds=seed_list, recipe=recipe, devices=devices, watch=terminal
        )
        from sfic_bench.commands import work_tables

        show([work_tables.plan_table(number, plan)])
        return
    result = sfic_bench.table(
        number, options.parts(data), runs, seeds=seed_list, recipe=recipe, devices=devices, logger=logger,
        watch=terminal,
    )  # fmt: skip
    if is_first_process():
        out.emit(view_of(result))
