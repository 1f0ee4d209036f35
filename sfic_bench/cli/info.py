"""``sfic-bench list`` and ``sfic-bench env``."""

from msgspec import Struct

from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output, View
from sfic_bench.extras import install_command
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.networks import registry
from sfic_bench.report.cells import size
from sfic_bench.report.columns import Cells, tabulated
from sfic_bench.results.catalogue import EnvironmentResult, ListResult, NamedThing
from sfic_bench.results.environment import PACKAGES, environment, version_of


class EnvironmentLine(Struct, frozen=True, kw_only=True):
    """A fact, package or device of this machine, and the command that adds a missing package."""

    what: str
    value: str
    to_add: str = ""


def list_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the names of models, conventions and execution paths."""
    from sfic_bench.counting.conventions import CONVENTIONS, DEFAULT  # imports torch

    out = Output(format=format, path=output)
    rows = [NamedThing(kind="model", name=name, summary="backbone") for name in registry.names()]
    for name in registry.detector_names():
        summary = f"detector, made for {size(registry.input_size_of(name))}"
        rows.append(NamedThing(kind="model", name=name, summary=summary))
    rows += [NamedThing(kind="model", name=name, summary="backbone of a plug-in") for name in registry.plugin_names()]
    for name, convention in CONVENTIONS.items():
        default = " (default)" if name == DEFAULT else ""
        rows.append(NamedThing(kind="convention", name=name, summary=convention.summary + default))
    for path in EXECUTION_PATHS.values():
        limits = f" ({path.limits})" if path.limits else ""
        rows.append(NamedThing(kind="path", name=path.name, summary=path.summary + limits))
    columns = (
        Cells[NamedThing]("name", lambda row: row.name, number=False),
        Cells[NamedThing]("what it is", lambda row: row.summary, number=False),
    )
    tables = [
        tabulated(title, columns, [row for row in rows if row.kind == kind])
        for kind, title in (
            ("model", "Models"),
            ("convention", "Conventions: what counts as a MAC"),
            ("path", "Execution paths"),
        )
    ]
    out.emit(View(result=ListResult(rows=rows), tables=tables, rows=rows))


def env_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """Show versions and devices, and for each missing package the command that adds it."""
    out = Output(format=format, path=output)
    software = environment()
    facts = ("sfic_bench", "python", "platform", "cpu_count")
    lines = [EnvironmentLine(what=name, value=str(getattr(software, name))) for name in facts]
    for name, extra in PACKAGES.items():
        version = version_of(name)
        command = install_command(extra) if extra else f"pip install {name}"
        lines.append(EnvironmentLine(what=name, value=version or "missing", to_add="" if version else command))
    devices = _devices()
    lines += [EnvironmentLine(what="device", value=device) for device in devices]
    columns = (
        Cells[EnvironmentLine]("what", lambda line: line.what, number=False),
        Cells[EnvironmentLine]("version or value", lambda line: line.value, number=False),
        Cells[EnvironmentLine]("to add it", lambda line: line.to_add, number=False, always=True),
    )
    result = EnvironmentResult(environment=software, devices=devices)
    out.emit(View(result=result, tables=[tabulated("Environment", columns, lines)], rows=lines))


def _devices() -> list[str]:
    import torch

    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [f"cpu ({torch.get_num_threads()} threads)", *(f"cuda:{i} {n}" for i, n in enumerate(cuda))]
