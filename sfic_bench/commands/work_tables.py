"""The tables of results whose types need pandas or a sweep's packages: data sets that were checked, and sweeps."""

import time
from collections.abc import Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

from msgspec import Struct

from sfic_bench.data.check import Balance, DataCheckResult, Problem
from sfic_bench.reporting import Table
from sfic_bench.reporting.cells import number
from sfic_bench.reporting.columns import Cells, tabulated
from sfic_bench.sweeping.engines import Running
from sfic_bench.sweeping.kept import Failure
from sfic_bench.sweeping.progress import CommandRow, Driver, SweepProgress, SweepResult
from sfic_bench.units import format_duration

if TYPE_CHECKING:
    from sfic_bench.training.tables import PlannedRun, TrainingPlan

SHOWN = 20
"""How many running cells are listed at most."""


@singledispatch
def work_tables_of(result: Struct) -> list[Table]:
    """The tables of a data set that was checked, or of a sweep."""
    raise TypeError(f"expected a result of a command, got a {type(result).__name__}")


@work_tables_of.register
def _(result: DataCheckResult) -> list[Table]:
    columns = (
        Cells[Balance]("split", lambda row: row.split, number=False),
        Cells[Balance]("real images", lambda row: f"{row.real:,}"),
        Cells[Balance]("fake images", lambda row: f"{row.fake:,}"),
        Cells[Balance]("real videos", lambda row: f"{row.real_videos:,}"),
        Cells[Balance]("fake videos", lambda row: f"{row.fake_videos:,}"),
    )
    findings = result.findings
    notes = [*findings.notes, *([] if result.problems else ["nothing is wrong"])]
    tables = [tabulated(f"{findings.manifest}: {findings.images:,} images", columns, findings.balance, notes=notes)]
    problem_columns = (
        Cells[Problem]("path", lambda problem: problem.path, number=False),
        Cells[Problem]("what is wrong", lambda problem: problem.detail, number=False),
    )
    for what, count in result.counts.items():
        problems = [problem for problem in result.problems if problem.what == what]
        folded = count > 40  # a folded table says by itself how many rows it has
        tables.append(tabulated(what if folded else f"{what}: {count:,}", problem_columns, problems, folded=folded))
    return tables


@work_tables_of.register
def _(result: SweepResult) -> list[Table]:
    driver, rows = result.driver, result.commands
    running = list(driver.running.values()) if driver.is_alive else []
    notes = [f"{driver.engine}, driven from {driver.host} (process {driver.pid})"]
    if driver.is_alive:
        notes += rates(driver)
    elif any(row.left for row in rows):
        age = format_duration(time.time() - driver.updated)
        notes.append(f"it ended {age} ago: the same command goes on with the rest")
    names = ("done", "running", "failed", "left", "of")
    columns = [_command_column(), *map(_count_column, names)]
    tables = [tabulated("Cells", columns, rows, notes=notes)]
    tables += [running_table(running)] if running else []
    if result.failed:
        more = sum(row.failed for row in rows) - len(result.failed)
        failed_columns: tuple[Cells[tuple[str, Failure]], ...] = (
            Cells("cell", lambda item: item[1].title, number=False),
            Cells("on", lambda item: item[1].host, number=False),
            Cells("cause", lambda item: item[1].cause, number=False),
            Cells("reason", lambda item: item[1].reason, number=False),
            Cells("log", lambda item: f"failed/{item[0]}.log", number=False),
        )
        notes = [f"and {more:,} more"] if more else []
        tables.append(tabulated("Failed", failed_columns, list(result.failed.items()), notes=notes))
    return tables


def _command_column() -> Cells[CommandRow]:
    return Cells("command", lambda row: row.command, number=False)


def _count_column(name: str) -> Cells[CommandRow]:
    return Cells(name, lambda row: f"{getattr(row, name):,}", always=True)


def running_table(running: Sequence[Running]) -> Table:
    """The first of the jobs that are running now."""
    columns: tuple[Cells[Running], ...] = (
        Cells("running", lambda job: job.title, number=False, always=True),
        Cells("on", lambda job: job.host, number=False, always=True),
        Cells("for", lambda job: format_duration(time.time() - job.since), always=True),
        Cells("images/s", lambda job: number(job.images_per_s, ",.0f"), always=True),
    )
    return tabulated("Now", columns, running[:SHOWN])


def rates(progress: SweepProgress | Driver) -> list[str]:
    """The speed of a sweep and the time that is left, as far as they are known."""
    speeds = [f"{progress.images_per_s:,.0f} images/s"] if progress.images_per_s else []
    left = progress.seconds_left
    return speeds if left is None else [*speeds, f"{format_duration(left)} left"]


def plan_table(number_: str, plan: "TrainingPlan") -> Table:
    """The trainings of the paper's table ``number_``, and how long they will take."""

    def time_of(run: "PlannedRun") -> str:
        return "" if plan.speed is None or not run.images_left else format_duration(plan.speed.seconds(run))

    columns: tuple[Cells[PlannedRun], ...] = (
        Cells("network", lambda run: str(run.variant), number=False),
        Cells("trained on", lambda run: run.train_on, number=False),
        Cells("seed", lambda run: str(run.seed)),
        Cells("images", lambda run: f"{run.images:,}"),
        Cells("epochs", lambda run: f"{run.epochs if run.is_finished else run.finished_epochs} of {run.epochs}"),
        Cells("time left", time_of),
    )
    notes = [f"{len(plan.runs) - len(plan.left)} of {len(plan.runs)} trainings are finished"]
    if plan.speed is not None:
        total = format_duration(plan.seconds_left)
        measured = ", ".join(f"{variant} {rate:.3g}" for variant, rate in plan.speed.measured.items())
        notes.append(f"{total} left on this machine, one after the other, without decoding and scoring")
        notes.append(f"measured now, images a second: {measured}; other networks by their MACs")
    return tabulated(f"Trainings of Table {number_}", columns, plan.runs, notes=notes)
