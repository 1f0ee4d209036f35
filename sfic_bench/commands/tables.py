"""The tables that show each kind of result, on a terminal, in Markdown and in notebooks."""

from collections.abc import Sequence
from functools import singledispatch

from msgspec import Struct

from sfic_bench.extras import install_command
from sfic_bench.reporting import Table, to_plain
from sfic_bench.reporting.accuracy_tables import matrix_tables, protocol_table
from sfic_bench.reporting.audit_tables import audit_tables
from sfic_bench.reporting.cells import number, size
from sfic_bench.reporting.claims_tables import claims_tables
from sfic_bench.reporting.columns import Cells, tabulated
from sfic_bench.reporting.comparison_tables import comparison_tables
from sfic_bench.reporting.cost_tables import (
    DEFAULT,
    FUSED,
    Counted,
    CountedLayer,
    cost_columns,
    layer_table,
    peer_table,
    unsupported_notes,
)
from sfic_bench.reporting.deployment_tables import deployment_table
from sfic_bench.reporting.notebook import to_html as tables_to_html
from sfic_bench.reporting.paper_tables import paper_tables
from sfic_bench.reporting.prediction_tables import prediction_tables
from sfic_bench.reporting.robustness_tables import robustness_tables
from sfic_bench.reporting.score_tables import score_tables
from sfic_bench.reporting.timing_tables import timing_tables
from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.audit import AuditResult
from sfic_bench.results.catalogue import EnvironmentResult, ExplainedRow, ListResult, NamedThing, PlacementResult
from sfic_bench.results.claims import ClaimsResult
from sfic_bench.results.comparison import ComparisonResult
from sfic_bench.results.cost import CostResult
from sfic_bench.results.deployment import DeploymentResult
from sfic_bench.results.environment import PACKAGES, version_of
from sfic_bench.results.predictions import PredictionsResult
from sfic_bench.results.robustness import RobustnessResult
from sfic_bench.results.scores import ScoresResult
from sfic_bench.results.tables import PaperTableResult
from sfic_bench.results.timing import TimingResult


class EnvironmentLine(Struct, frozen=True, kw_only=True):
    """A fact, package or device of this machine, and the command that adds a missing package."""

    what: str
    value: str
    to_add: str = ""


def to_html(result: Struct) -> str:
    """The tables of a result as HTML for a notebook."""
    return tables_to_html(tables_of(result))


def to_text(result: Struct) -> str:
    """The tables of a result as plain text, as wide as they are."""
    return to_plain(tables_of(result)).rstrip()


@singledispatch
def tables_of(result: Struct) -> list[Table]:
    """The tables that the command line prints of a result of any kind."""
    from sfic_bench.commands.work_tables import work_tables_of  # imports pandas, and a sweep's packages

    return work_tables_of(result)


tables_of.register(AuditResult)(audit_tables)
tables_of.register(ClaimsResult)(claims_tables)
tables_of.register(ComparisonResult)(comparison_tables)
tables_of.register(PaperTableResult)(paper_tables)
tables_of.register(RobustnessResult)(robustness_tables)
tables_of.register(TimingResult)(timing_tables)


@tables_of.register
def _(result: AccuracyResult) -> list[Table]:
    return [protocol_table(result), *matrix_tables(result.rows)]


@tables_of.register
def _(result: DeploymentResult) -> list[Table]:
    return [deployment_table(result)]


@tables_of.register
def _(result: PredictionsResult) -> list[Table]:
    return prediction_tables(result, per_frame=False)


@tables_of.register
def _(result: ScoresResult) -> list[Table]:
    return score_tables(f"{result.network or result.run} on {result.data}, {result.split}", result)


@tables_of.register
def _(result: CostResult) -> list[Table]:
    return cost_tables(result, ("paper", DEFAULT))


def cost_tables(result: CostResult, conventions: Sequence[str]) -> list[Table]:
    """Networks with their MACs in ``conventions``; then layers and third-party counters, where the result has them."""
    from sfic_bench.counting.conventions import CONVENTIONS  # imports torch

    vanilla = result.vanilla()
    lines = [Counted(row, vanilla.get(row.vanilla_key)) for row in result.rows]
    notes = [f"{name}: {CONVENTIONS[name].summary}" for name in conventions]
    notes += [FUSED, *unsupported_notes(result.rows, conventions)]
    sizes = ", ".join(dict.fromkeys(size(row.input_size) for row in result.rows))
    title = f"One image, 3×{sizes}, inference; one multiply-add is one MAC"
    columns = cost_columns(conventions)
    tables = [tabulated(title, columns, lines, notes=notes, group_by=lambda line: line.row.backbone)]
    for row in result.rows:
        if row.layers:
            layers = [CountedLayer("", layer) for layer in row.layers]
            tables.append(layer_table(f"Layers of {row.network}", layers, conventions))
        if row.peers:
            tables.append(peer_table(f"Third-party counters on {row.network}", row.peers))
    return tables


@tables_of.register
def _(result: PlacementResult) -> list[Table]:
    columns = (
        Cells[ExplainedRow]("module", lambda row: row.path, number=False),
        Cells[ExplainedRow]("operation", lambda row: row.operation, number=False),
        Cells[ExplainedRow]("becomes", lambda row: row.role, number=False),
        Cells[ExplainedRow]("S", lambda row: number(row.spatial, ",")),
        Cells[ExplainedRow]("F", lambda row: number(row.frequency, ",")),
        Cells[ExplainedRow]("remark", lambda row: row.note, number=False),
    )
    title = f"{result.backbone} as an SFIC network, α = {number(result.alpha, 'g')}"
    return [tabulated(title, columns, result.rows, notes=[result.summary])]


@tables_of.register
def _(result: ListResult) -> list[Table]:
    columns = (
        Cells[NamedThing]("name", lambda row: row.name, number=False),
        Cells[NamedThing]("what it is", lambda row: row.summary, number=False),
    )
    titles = {"model": "Models", "convention": "Conventions: what counts as a MAC", "path": "Execution paths"}
    return [tabulated(title, columns, [r for r in result.rows if r.kind == kind]) for kind, title in titles.items()]


@tables_of.register
def _(result: EnvironmentResult) -> list[Table]:
    columns = (
        Cells[EnvironmentLine]("what", lambda line: line.what, number=False),
        Cells[EnvironmentLine]("version or value", lambda line: line.value, number=False),
        Cells[EnvironmentLine]("to add it", lambda line: line.to_add, number=False, always=True),
    )
    return [tabulated("Environment", columns, environment_lines(result))]


def environment_lines(result: EnvironmentResult) -> list[EnvironmentLine]:
    """One line for each fact, package and device."""
    facts = ("sfic_bench", "python", "platform", "cpu_count")
    lines = [EnvironmentLine(what=name, value=str(getattr(result.environment, name))) for name in facts]
    for name, extra in PACKAGES.items():
        version = version_of(name)
        command = install_command(extra) if extra else f"pip install {name}"
        lines.append(EnvironmentLine(what=name, value=version or "missing", to_add="" if version else command))
    return lines + [EnvironmentLine(what="device", value=device) for device in result.devices]
