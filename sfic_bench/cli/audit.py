"""``sfic-bench audit``: the paper's printed figures against ours."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.errors import InvalidValue


def audit_command(
    claims: Annotated[
        bool, typer.Option("--claims", help="Test what the paper says in words, instead of counting networks.")
    ] = False,
    results: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With --claims: test them on these results of `accuracy`, too. Repeatable."),
    ] = None,
    format: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Check every Param and FLOPs cell of the paper's Tables II, III and V, or with --claims what it says in words.

    Exit status: 0 if every cell that differs and every parameter over vanilla's has a known reason, otherwise 1. With
    --claims it is 0, whatever the verdicts.
    """
    out = Output(format=format, path=output)
    if claims:
        out.emit(view_of(sfic_bench.audit_claims(results or ())))
        return
    if results:
        raise InvalidValue("--results needs --claims: claims are tested on results, counts are not")
    result = sfic_bench.audit(watch=Terminal(out, view_of))
    out.emit(view_of(result))
    if not result.is_good:
        raise typer.Exit(1)
