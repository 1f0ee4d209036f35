"""``sfic-bench flops``: parameters and MACs over the α/β grid."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfic_bench import documents
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result, progress
from sfic_bench.report import Column, Table
from sfic_bench.spec import Grid
from sfic_bench.units import format_count, format_ratio

if TYPE_CHECKING:
    from sfic_bench.api import Costed
    from sfic_bench.counting.peers import Measured


def flops_command(
    backbone: options.Backbones = "all",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    input_size: options.InputSize = 256,
    classes: options.Classes = 2,
    on_unsupported: options.Unsupported = "error",
    convention: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What counts as a MAC in tables; JSON and CSV have them all. "
            "Default: paper and conv-linear.",
            show_default=False,
        ),
    ] = None,
    per_layer: Annotated[bool, typer.Option(help="Add a table of every layer.")] = False,
    peers: Annotated[
        bool,
        typer.Option(
            help="Run fvcore, thop, ptflops and torch's FlopCounterMode too, and explain each "
            "difference. Exit status 1 if something stays unexplained."
        ),
    ] = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Count parameters and MACs of backbones and their SFIC forms, without computing anything."""
    grid = options.grid(backbone, alpha, beta, on_unsupported)
    options.tell_kept(grid)
    out = Output(format=format, path=output)
    from sfic_bench import api  # imports torch
    from sfic_bench.counting import conventions

    shown = [conventions.get(convention).name] if convention else ["paper", conventions.DEFAULT]
    with progress("counting", len(grid)) as step:
        found = []
        for costed in api.costs(grid, input_size=input_size, classes=classes, fused=True):
            found.append(costed)
            step(str(costed.variant))
    rows = [documents.cost_row(costed, input_size, classes) for costed in found]
    tables = [_table(found, shown, input_size)]
    if per_layer:
        for costed, row in zip(found, rows, strict=True):
            row["layers"] = _layers(costed)
            tables.append(_layer_table(costed, shown))
    unexplained = 0
    if peers:
        reference = convention or "paper"
        answers = _run_peers(grid, input_size, classes)
        for i, (costed, row) in enumerate(zip(found, rows, strict=True)):
            row["peers"] = [
                _peer_row(costed, name, results[i], reference) for name, results in answers.items()
            ]
            tables.append(_peer_table(costed, row["peers"], reference))
            unexplained += sum(abs(p["unexplained"] or 0) for p in row["peers"])
    out.emit(
        Result(
            document=documents.cost(rows),
            tables=tables,
            records=[_flat(row) for row in rows],
        )
    )
    if unexplained:
        raise typer.Exit(1)


def _flat(row: dict[str, Any]) -> dict[str, object]:
    """A row for CSV: one column a convention; nested parts stay in JSON."""
    flat = {k: v for k, v in row.items() if not isinstance(v, dict | list)}
    flat.pop("params_over_vanilla", None)
    return flat | {f"macs_{name}": macs for name, macs in row["macs"].items()}


def _table(found: Sequence["Costed"], shown: Sequence[str], input_size: int) -> Table:
    columns = [Column(name="backbone")]
    columns += [Column(name=n, number=True) for n in ("α", "β", "params\nM", "over\nvanilla")]
    for name in shown:
        columns += [Column(name=f"{name}\nGMac", number=True), Column(name="÷\nvanilla", number=True)]
    columns += [Column(name="fused\nGMac", number=True), Column(name="÷\nvanilla", number=True)]
    columns += [
        Column(name=n, number=True, optional=True) for n in ("activations\nM", "moved\nMB", "dead\nparams")
    ]
    rows, sections = [], set()
    vanilla = found[0].cost
    for i, costed in enumerate(found):
        variant, cost = costed.variant, costed.cost
        if costed.parity is None:
            vanilla = cost
            sections.add(i - 1)
        more = cost.parameters.total - vanilla.parameters.total
        row = [variant.backbone, format_ratio(variant.alpha), format_ratio(variant.beta)]
        row += [format_count(cost.parameters.total, "M"), "" if variant.is_vanilla else f"{more:+,}"]
        for name in shown:
            macs = cost.totals[name].macs
            ratio = "" if variant.is_vanilla else f"{macs / vanilla.totals[name].macs:.3f}"
            row += [format_count(macs, "G"), ratio]
        assert costed.fused is not None
        ratio = "" if variant.is_vanilla else f"{costed.fused.macs / vanilla.macs:.3f}"
        row += [format_count(costed.fused.macs, "G"), ratio]
        row += [format_count(cost.activations, "M"), format_count(cost.bytes_moved, "M", 1)]
        row += [f"{cost.parameters.dead:,}"]
        rows.append(row)
    notes = [_convention_note(name) for name in shown]
    notes.append("fused: conv-linear MACs of the same function, computing only what its resizes keep")
    notes += _unsupported_notes(found, shown)
    return Table(
        title=f"One image, 3×{input_size}×{input_size}, inference; one multiply-add is one MAC",
        columns=columns,
        rows=rows,
        notes=notes,
        sections=frozenset(sections),
    )


def _convention_note(name: str) -> str:
    from sfic_bench.counting.conventions import CONVENTIONS

    return f"{name}: {CONVENTIONS[name].summary}"


def _unsupported_notes(found: Sequence["Costed"], shown: Sequence[str]) -> list[str]:
    notes = []
    for name in shown:
        kinds = sorted({label for c in found for label in c.cost.totals[name].unsupported})
        if kinds:
            notes.append(f"{name} has no rule for, and leaves out: {', '.join(kinds)}")
    return notes


def _layers(costed: "Costed") -> list[dict[str, Any]]:
    from sfic_bench.counting.conventions import CONVENTIONS

    by_convention = {name: costed.cost.layers(name) for name in CONVENTIONS}
    return [
        {
            "path": layer.path,
            "kind": layer.kind,
            "calls": layer.calls,
            "input": list(layer.input),
            "output": list(layer.output),
            "params": layer.params,
            "macs": {name: layers[i].macs for name, layers in by_convention.items()},
        }
        for i, layer in enumerate(by_convention["conv-linear"])
    ]


def _layer_table(costed: "Costed", shown: Sequence[str]) -> Table:
    columns = [Column(name=n) for n in ("layer", "operation", "input", "output")]
    columns += [Column(name=n, number=True) for n in ("calls", "params")]
    columns += [Column(name=f"MMac {name}", number=True) for name in shown]
    by_convention = [costed.cost.layers(name) for name in shown]
    rows = []
    for same in zip(*by_convention, strict=True):
        layer = same[0]
        row = [layer.path or "(network)", layer.kind, _shape(layer.input), _shape(layer.output)]
        row += [str(layer.calls), f"{layer.params:,}" if layer.params else ""]
        row += ["no rule" if s.macs is None else format_count(s.macs, "M", 3) for s in same]
        rows.append(row)
    return Table(title=f"Layers of {costed.variant}", columns=columns, rows=rows)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape[1:]))


def _run_peers(grid: Grid, input_size: int, classes: int) -> dict[str, list["Measured"]]:
    """Every counter's answers, in the order of ``grid``; counters run side by side."""
    from sfic_bench.counting import peers

    jobs = [
        peers.Job(
            builder="sfic_bench.api:build",
            arguments={
                "backbone": v.backbone,
                "alpha": v.alpha,
                "beta": v.beta,
                "classes": classes,
                "input_size": input_size,
            },
            input_size=(1, 3, input_size, input_size),
        )
        for v in grid
    ]
    with progress("counters", len(jobs) * len(peers.COUNTERS)) as step:

        def answers(counter: peers.Counter) -> list["Measured"]:
            found = []
            for measured in peers.run(counter, jobs):
                found.append(measured)
                step(counter.name)
            return found

        with ThreadPoolExecutor(max_workers=2) as pool:
            results = pool.map(answers, peers.COUNTERS.values())
            return dict(zip(peers.COUNTERS, results, strict=True))


def _peer_row(costed: "Costed", name: str, measured: "Measured", reference: str) -> dict[str, Any]:
    from sfic_bench.counting import conventions, peers

    counter = peers.COUNTERS[name]
    ours = costed.cost.totals[counter.convention].macs
    apart = peers.differences(
        costed.cost.ops, conventions.get(counter.convention), conventions.get(reference)
    )
    return {
        "counter": name,
        "version": counter.version,
        "macs": measured.macs,
        "reason": measured.reason,
        "convention": counter.convention,
        "convention_macs": ours,
        "unexplained": None if measured.macs is None else measured.macs - ours,
        "reference": reference,
        "differences": [{"of": d.label, "macs": d.macs, "because": str(d)} for d in apart],
    }


def _peer_table(costed: "Costed", rows: Sequence[dict[str, Any]], reference: str) -> Table:
    columns = [Column(name="counter"), Column(name="version"), Column(name="MACs", number=True)]
    columns += [Column(name="our convention"), Column(name="unexplained", number=True)]
    cells, notes = [], []
    for row in rows:
        given = row["macs"] is not None
        cells.append(
            [
                row["counter"],
                row["version"] or "",
                f"{row['macs']:,}" if given else "unavailable",
                row["convention"],
                f"{row['unexplained']:,}" if given else "",
            ]
        )
        because = "; ".join(d["because"] for d in row["differences"]) or "the same"
        notes.append(f"{row['counter']} against {reference}: {because if given else row['reason']}")
    total = sum(abs(row["unexplained"] or 0) for row in rows)
    return Table(
        title=f"Third-party counters on {costed.variant}",
        columns=columns,
        rows=cells,
        notes=[*notes, f"unexplained: {total:,}"],
    )
