"""``sfic-bench list`` and ``sfic-bench env``."""

import sfic_bench
from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.terminal import view_of


def list_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the names of models, conventions and execution paths."""
    out = Output(format=format, path=output)
    out.emit(view_of(sfic_bench.list_names()))


def env_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """Show versions and devices, and for each missing package the command that adds it."""
    out = Output(format=format, path=output)
    from sfic_bench.commands.tables import environment_lines

    result = sfic_bench.env()
    out.emit(view_of(result, rows=environment_lines(result)))
