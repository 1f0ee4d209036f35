"""``sfic-bench table``: an accuracy table of the paper, measured and printed side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.choices import TableNumber
from sfic_bench.cli import options, training_options
from sfic_bench.cli.grid_runs import run_all
from sfic_bench.cli.output import Format, Output, View, progress, show
from sfic_bench.cli.recipe_options import with_recipe
from sfic_bench.errors import InvalidValue
from sfic_bench.report.columns import Cells, tabulated
from sfic_bench.results.environment import environment
from sfic_bench.train.recipe import Recipe, TrainingDevices
from sfic_bench.units import format_duration

if TYPE_CHECKING:
    from sfic_bench.paper.wide import PaperTable
    from sfic_bench.results.accuracy import AccuracyResult, AccuracyRow
    from sfic_bench.train.tables import PlannedRun, Speed


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
    from sfic_bench.paper.wide import PaperTable
    from sfic_bench.results.read import read_accuracies

    out, table = Output(format=format, path=output), PaperTable.of(number)
    seed_list = options.counts("--seeds", seeds)
    if results:
        out.emit(_view(table, [read_accuracies(path) for path in results], ()))
        return
    if not data or runs is None:
        raise InvalidValue("--data and --runs are needed to train; --results fills the table with what was measured")
    with training_options.training_packages():
        from sfic_bench.train import accuracy
        from sfic_bench.train.learner import lacks_masks
        from sfic_bench.train.tables import columns, experiments_of, measured_speed, planned

        loggers = training_options.loggers_of(logger)
        manifests = [training_options.manifest_of(name, "") for name in options.parts(data)]
        selected, without = experiments_of(table, manifests)
        pairs = [(variant, experiment) for experiment in selected for variant in table.networks]
        if dry_run:
            plan = list(planned(pairs, recipe, seed_list, runs))
            variants = [run.variant for run in plan if run.images_left]
            with progress("measuring", 1):
                speed = measured_speed(variants, recipe, devices) if variants else None
            _show_plan(table.number, plan, speed)
            return
        notes = [f"not measured, for want of data: {columns(without)}"] if without else []
        if unmasked := sorted({v.backbone for v, e in pairs if lacks_masks(v, e.data)}):
            notes.append(f"{', '.join(unmasked)} learnt by its classification loss alone: the fakes have no masks")

        def view(rows: "Sequence[AccuracyRow]") -> View:
            return _view(table, [accuracy.result(rows, number, recipe, seed_list)], notes)

        finished = run_all(
            pairs, recipe, seed_list, devices, runs, lambda rows: out.keep(view(rows)), loggers=loggers
        )  # fmt: skip
    if training_options.is_first_process():
        out.emit(view(finished))


def _view(table: "PaperTable", accuracies: "Sequence[AccuracyResult]", notes: Sequence[str]) -> View:
    from sfic_bench.data.draws import names_of  # imports pandas
    from sfic_bench.paper.wide import filled
    from sfic_bench.report.paper_tables import paper_tables
    from sfic_bench.results.tables import PaperTableResult

    rows = [row for accuracy in accuracies for row in accuracy.rows]
    result = PaperTableResult(
        environment=environment(), table=table.number, recipe=accuracies[0].recipe,
        seeds=sorted({seed for accuracy in accuracies for seed in accuracy.seeds}), notes=list(notes),
        rows=filled(table, rows, names_of(rows)),
    )  # fmt: skip
    return View(result=result, tables=paper_tables(result), rows=result.rows)


def _show_plan(number: str, plan: "Sequence[PlannedRun]", speed: "Speed | None") -> None:
    """Print the trainings, and how long they will take."""

    def time_of(run: "PlannedRun") -> str:
        return "" if speed is None or not run.images_left else format_duration(speed.seconds(run))

    columns: tuple[Cells[PlannedRun], ...] = (
        Cells("network", lambda run: str(run.variant), number=False),
        Cells("trained on", lambda run: run.train_on, number=False),
        Cells("seed", lambda run: str(run.seed)),
        Cells("images", lambda run: f"{run.images:,}"),
        Cells("epochs", lambda run: f"{run.epochs if run.is_finished else run.finished_epochs} of {run.epochs}"),
        Cells("time left", time_of),
    )
    left = [run for run in plan if run.images_left]
    notes = [f"{len(plan) - len(left)} of {len(plan)} trainings are finished"]
    if speed is not None:
        total = format_duration(sum(speed.seconds(run) for run in left))
        measured = ", ".join(f"{variant} {rate:.3g}" for variant, rate in speed.measured.items())
        notes.append(f"{total} left on this machine, one after the other, without decoding and scoring")
        notes.append(f"measured now, images a second: {measured}; other networks by their MACs")
    show([tabulated(f"Trainings of Table {number}", columns, plan, notes=notes)])
