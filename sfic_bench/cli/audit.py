"""``sfic-bench audit``: the paper's printed figures against ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output, View, progress
from sfic_bench.errors import InvalidValue
from sfic_bench.networks import registry
from sfic_bench.networks.variant import Variant
from sfic_bench.paper import CLAIMS, CountedNetwork, audit, cost_cells, printed_at, recompute, variants_needed
from sfic_bench.report.audit_tables import audit_tables
from sfic_bench.results.audit import AuditResult, ParityRow, UnprintedRow
from sfic_bench.results.environment import environment


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
        out.emit(_claims_view(results or []))
        return
    if results:
        raise InvalidValue("--results needs --claims: claims are tested on results, counts are not")
    cells = list(cost_cells())
    needed = variants_needed(cells)
    printed = {variant.backbone for variant in needed}
    unprinted = [
        variant
        for name in registry.names()
        if name not in printed
        for variant in (Variant(backbone=name), Variant(backbone=name, alpha=0.5, beta=1.0))
    ]
    from sfic_bench import api  # imports torch

    by_size: dict[int, list[Variant]] = {}
    for variant in (*needed, *unprinted):
        by_size.setdefault(printed_at(variant.backbone), []).append(variant)
    counted: dict[Variant, api.Costed] = {}
    with progress("counting", len(needed) + len(unprinted)) as advance:
        for size, variants in by_size.items():
            for costed in api.costs(variants, input_size=size):
                counted[costed.variant] = costed
                advance(str(costed.variant))
    networks = {variant: CountedNetwork.of(costed.row(classes=2)) for variant, costed in counted.items()}
    result = AuditResult(
        environment=environment(),
        rows=audit(cells, networks),
        unprinted=[
            UnprintedRow(
                backbone=v.backbone, alpha=v.alpha, beta=v.beta, params=networks[v].params, macs=networks[v].macs
            )
            for v in unprinted
        ],
        parity=[
            ParityRow(
                backbone=v.backbone, alpha=v.alpha, beta=v.beta, vanilla=parity.vanilla, sfic=parity.sfic,
                terms=parity.terms, unexplained=parity.unexplained,
            )
            for v, costed in counted.items()
            if (parity := costed.parity) is not None
        ],
        claims=recompute(CLAIMS, cells, networks),
    )  # fmt: skip
    out.emit(View(result=result, tables=audit_tables(result), rows=result.rows))
    if not result.is_good:
        raise typer.Exit(1)


def _claims_view(files: Sequence[Path]) -> View:
    from sfic_bench.paper.claims import audit_words
    from sfic_bench.paper.scores import measured, printed
    from sfic_bench.paper.suspicious import suspicious
    from sfic_bench.report.claims_tables import claims_tables
    from sfic_bench.results.claims import ClaimsResult
    from sfic_bench.results.read import read_accuracies

    rows = audit_words(printed())
    if files:
        from sfic_bench.data.draws import names_of  # imports pandas

        for path in files:
            measured_rows = read_accuracies(path).rows
            rows += audit_words(measured(measured_rows, names_of(measured_rows)), path.name)
    result = ClaimsResult(environment=environment(), rows=rows, suspicious=list(suspicious()))
    return View(result=result, tables=claims_tables(result), rows=rows)
