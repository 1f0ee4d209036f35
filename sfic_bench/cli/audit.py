"""``sfic-bench audit``: the paper's printed figures against ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import typer

from sfic_bench import backbones
from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output, Result, progress
from sfic_bench.paper import (
    CLAIMS,
    DETECTORS,
    Figures,
    Recomputed,
    Verdict,
    Verdicted,
    audit,
    cost_cells,
    printed_at,
    recompute,
    variants_needed,
)
from sfic_bench.report import Column, Table, environment
from sfic_bench.spec import Variant
from sfic_bench.units import format_ratio

if TYPE_CHECKING:
    from sfic_bench.api import Costed
    from sfic_bench.convert import Parity


def audit_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """Check every Param and FLOPs cell of the paper's Tables II, III and V.

    Exit status 0 when no cell differs without a known reason and every parameter over vanilla's is accounted for, else 1.
    """
    out = Output(format=format, path=output)
    cells = list(cost_cells())
    needed = variants_needed(cells)
    printed = {variant.backbone for variant in needed}
    unprinted = [
        variant
        for name in backbones.names()
        if name not in printed
        for variant in (Variant(backbone=name), Variant(backbone=name, alpha=0.5, beta=1.0))
    ]
    from sfic_bench import api  # imports torch

    by_size: dict[int, list[Variant]] = {}
    for variant in (*needed, *unprinted):
        by_size.setdefault(printed_at(variant.backbone), []).append(variant)
    with progress("counting", len(needed) + len(unprinted)) as step:
        found = {}
        for size, variants in by_size.items():
            for costed in api.costs(variants, input_size=size):
                found[costed.variant] = costed
                step(str(costed.variant))
    measured = {variant: _figures(costed) for variant, costed in found.items()}
    verdicts = audit(cells, measured)
    claims = recompute(CLAIMS, cells, measured)
    compared = [costed for costed in found.values() if costed.parity is not None]
    rows = [_row(v) for v in verdicts]
    out.emit(
        Result(
            document={
                "schema": "sfic-bench/audit/1",
                "environment": environment(),
                "rows": rows,
                "unprinted": [_unprinted_row(found[v]) for v in unprinted],
                "parity": [_parity_row(costed) for costed in compared],
                "claims": [_claim_row(claim) for claim in claims],
            },
            tables=[
                _table(verdicts),
                _unprinted_table([found[v] for v in unprinted]),
                _parity_table(compared),
                _claim_table(claims),
            ],
            records=rows,
        )
    )
    unexplained = any(c.parity is not None and c.parity.unexplained for c in compared)
    if unexplained or any(v.verdict == "differs" for v in verdicts):
        raise typer.Exit(1)


def _figures(costed: "Costed") -> Figures:
    return Figures(
        params=costed.cost.parameters.total,
        macs=costed.cost.totals["paper"].macs,
        conv_biases=0 if costed.parity is None else costed.parity.conv_biases,
    )


def _row(verdict: Verdicted) -> dict[str, Any]:
    cell = verdict.cell
    return {
        "table": cell.table,
        "model": cell.model,
        "alpha": cell.alpha,
        "beta": cell.beta,
        "quantity": cell.quantity,
        "printed": cell.printed.text,
        "measured": verdict.measured,
        "verdict": verdict.verdict,
        "note": verdict.note,
    }


def _unprinted_row(costed: "Costed") -> dict[str, Any]:
    return {
        "backbone": costed.variant.backbone,
        "alpha": costed.variant.alpha,
        "beta": costed.variant.beta,
        "params": costed.cost.parameters.total,
        "macs": costed.cost.totals["paper"].macs,
    }


def _parity_row(costed: "Costed") -> dict[str, Any]:
    assert costed.parity is not None
    return {
        "backbone": costed.variant.backbone,
        "alpha": costed.variant.alpha,
        "beta": costed.variant.beta,
        "vanilla": costed.parity.vanilla,
        "sfic": costed.parity.sfic,
        "terms": costed.parity.terms,
        "unexplained": costed.parity.unexplained,
    }


def _claim_row(result: Recomputed) -> dict[str, Any]:
    claim = result.claim
    return {
        "section": claim.section,
        "stated": claim.stated,
        "before": str(claim.before),
        "after": str(claim.after),
        "reduction_percent": result.reduction,
        "over_after_percent": result.over_after,
    }


def _table(verdicts: Sequence[Verdicted]) -> Table:
    names = ("table", "model", "α", "β", "figure", "printed", "measured", "verdict")
    rows, sections, remarks = [], set(), []
    for i, verdict in enumerate(verdicts):
        cell = verdict.cell
        if i and verdicts[i - 1].cell.table != cell.table:
            sections.add(i - 1)
        if verdict.note:
            remarks.append(f"{cell.table} {cell.model} {cell.quantity}: {verdict.note}")
        rows.append(
            [
                cell.table,
                cell.model,
                format_ratio(cell.alpha),
                format_ratio(cell.beta),
                cell.quantity,
                cell.printed.text,
                f"{verdict.measured:,}",
                verdict.verdict,
            ]
        )
    counts = {v: sum(x.verdict == v for x in verdicts) for v in get_args(Verdict)}
    macs = [
        v for v in verdicts if v.cell.quantity == "macs" and v.cell.variant.backbone not in DETECTORS.values()
    ]
    matched = sum(v.verdict == "match" for v in macs)
    return Table(
        title="Guo et al., IEEE TIFS 2024: printed and measured, 3×256×256 (F3-Net: 3×299×299), 2 classes",
        columns=[Column(name=n, number=n in ("α", "β", "printed", "measured")) for n in names],
        rows=rows,
        notes=[
            "; ".join(f"{n} {v}" for v, n in counts.items()),
            f"GMac cells of the paper's own networks that match to the printed digit: {matched} of {len(macs)}",
            "macs are in the paper's convention (ptflops up to 0.7.0); F3-Net's figures are of 299×299",
            *remarks,
        ],
        sections=frozenset(sections),
    )


def _unprinted_table(found: "Sequence[Costed]") -> Table:
    """Backbones that the paper names, or whose family it uses, and gives no figure for."""
    names = ("backbone", "α", "β", "params", "macs")
    rows = [
        [
            r["backbone"],
            format_ratio(r["alpha"]),
            format_ratio(r["beta"]),
            f"{r['params']:,}",
            f"{r['macs']:,}",
        ]
        for r in map(_unprinted_row, found)
    ]
    columns = [Column(name=n, number=n != "backbone") for n in names]
    return Table(title="Measured, without a printed figure", columns=columns, rows=rows)


def _parity_table(compared: Sequence["Costed"]) -> Table:
    """One row for every α at which a backbone's terms are the same; β changes no parameter."""
    alphas: dict[tuple[str, Parity], set[float]] = {}
    for costed in compared:
        assert costed.parity is not None and costed.variant.alpha is not None
        alphas.setdefault((costed.variant.backbone, costed.parity), set()).add(costed.variant.alpha)
    rows = []
    for (backbone, parity), found in alphas.items():
        terms = (parity.mcs, parity.grouped_stage1, parity.conv_biases)
        rows.append(
            [
                backbone,
                ", ".join(format_ratio(a) for a in sorted(found)),
                f"{parity.vanilla:,}",
                *(f"{term:+,}" if term else "" for term in terms),
                f"{parity.sfic:,}",
                str(parity.unexplained),
            ]
        )
    names = ("backbone", "α", "vanilla", "MCSConv", "grouped\nStage 1", "conv\nbiases", "SFIC", "unexplained")
    columns = [Column(name=n, number=n not in names[:2]) for n in names]
    return Table(title="Parameters: from vanilla to SFIC, term by term", columns=columns, rows=rows)


def _claim_table(claims: Sequence[Recomputed]) -> Table:
    names = ("section", "the paper says", "from", "to", "real\nreduction", "(from − to)\n/ to")
    rows = [
        [
            c.claim.section,
            c.claim.stated,
            str(c.claim.before),
            str(c.claim.after),
            f"{c.reduction:.2f}%",
            f"{c.over_after:.2f}%",
        ]
        for c in claims
    ]
    return Table(
        title="Percentages that the paper states in words",
        columns=[Column(name=n, number=n in names[-2:]) for n in names],
        rows=rows,
        notes=[
            "real reduction: (from − to) / from, of measured MACs; the last column, of printed "
            "figures, shows that the paper divides by the smaller network's MACs"
        ],
    )
