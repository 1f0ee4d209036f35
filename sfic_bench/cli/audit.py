"""``sfic-bench audit``: the paper's printed figures against ours."""

import typer

from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output, View, progress
from sfic_bench.networks import registry
from sfic_bench.networks.variant import Variant
from sfic_bench.paper import CLAIMS, CountedNetwork, audit, cost_cells, printed_at, recompute, variants_needed
from sfic_bench.report.audit_tables import audit_tables
from sfic_bench.results.audit import AuditResult, ParityRow, UnprintedRow
from sfic_bench.results.environment import environment


def audit_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """Check every Param and FLOPs cell of the paper's Tables II, III and V.

    Exit status: 0 if every cell that differs and every parameter over vanilla's has a known reason, otherwise 1.
    """
    out = Output(format=format, path=output)
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
