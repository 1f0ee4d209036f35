"""``sfic-bench flops``: parameters and MACs over the α/β grid."""

import dataclasses
import gc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, View, progress, say
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks.grid import Grid
from sfic_bench.report import Table
from sfic_bench.report.cells import size
from sfic_bench.report.columns import tabulated
from sfic_bench.report.cost_tables import (
    FUSED,
    Counted,
    CountedLayer,
    cost_columns,
    layer_table,
    peer_table,
    unsupported_notes,
)
from sfic_bench.results.cost import CostResult, PeerDifference, PeerRow
from sfic_bench.results.environment import environment

if TYPE_CHECKING:
    from sfic_bench.api import Costed
    from sfic_bench.counting.peers import PeerCount


def flops_command(
    backbone: options.Backbones = "all",
    alpha: options.Alphas = None,
    beta: options.Betas = None,
    input_size: options.InputSize = 256,
    classes: options.Classes = 2,
    on_unsupported: options.Unsupported = OnUnsupported.JOIN,
    convention: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="What counts as a MAC in tables; JSON and CSV have all conventions. Default: paper and conv-linear.",
        ),
    ] = None,
    per_layer: Annotated[bool, typer.Option(help="Add a table of every layer.")] = False,
    peers: Annotated[
        bool,
        typer.Option(
            help="Run fvcore, thop, ptflops and torch's FlopCounterMode too, and explain each difference. "
            "Exit status 1 if something stays unexplained."
        ),
    ] = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Count parameters and MACs of backbones and their SFIC forms, without computing anything.

    A network among several that cannot be converted is named on stderr, and the exit status is 1.
    """
    grid = options.grid(backbone, alpha, beta, on_unsupported)
    options.report_kept(grid)
    out = Output(format=format, path=output)
    from sfic_bench import api  # imports torch

    gc.freeze()  # what has been imported stays, and need not be looked through for garbage again and again
    from sfic_bench.counting import InputTooSmall, conventions

    shown = [conventions.get(convention).name] if convention else ["paper", conventions.DEFAULT]
    counted: list[Costed] = []
    refused: list[str] = []
    kept = api.KeptLayers()
    with progress("counting", len(grid)) as advance:
        for name in grid.backbones:
            of_one = dataclasses.replace(grid, backbones=(name,))
            try:
                for costed in api.costs(of_one, input_size=input_size, classes=classes, fused=True, kept=kept):
                    counted.append(costed)
                    advance(str(costed.variant))
            except (UnsupportedModel, InputTooSmall) as error:
                if len(grid.backbones) == 1:
                    raise
                refused.append(f"sfic-bench: {name}: {error}")
    for message in refused:
        say(message)
    if not counted:
        raise UnsupportedModel("no network could be counted")
    rows = [costed.row(classes=classes, per_layer=per_layer) for costed in counted]
    if peers:
        peer_counts = _run_peers(grid, input_size, classes)
        reference = convention or "paper"
        rows = [
            replace(row, peers=[_peer_row(costed, name, each[i], reference) for name, each in peer_counts.items()])
            for i, (costed, row) in enumerate(zip(counted, rows, strict=True))
        ]
    result = CostResult(environment=environment(), rows=rows)
    out.emit(View(result=result, tables=_tables(result, shown, input_size), rows=rows))
    if refused or any(peer.unexplained for row in rows for peer in row.peers):
        raise typer.Exit(1)


def _tables(result: CostResult, shown: Sequence[str], input_size: int) -> list[Table]:
    from sfic_bench.counting.conventions import CONVENTIONS

    vanilla = result.vanilla()
    lines = [Counted(row, vanilla.get(row.vanilla_key)) for row in result.rows]
    notes = [f"{name}: {CONVENTIONS[name].summary}" for name in shown]
    notes += [FUSED, *unsupported_notes(result.rows, shown)]
    title = f"One image, 3×{size(input_size)}, inference; one multiply-add is one MAC"
    columns = cost_columns(shown)
    tables = [tabulated(title, columns, lines, notes=notes, group_by=lambda line: line.row.backbone)]
    for row in result.rows:
        if row.layers:
            layers = [CountedLayer("", layer) for layer in row.layers]
            tables.append(layer_table(f"Layers of {row.network}", layers, shown))
        if row.peers:
            tables.append(peer_table(f"Third-party counters on {row.network}", row.peers))
    return tables


def _run_peers(grid: Grid, input_size: int, classes: int) -> dict[str, list["PeerCount"]]:
    """The counts of each third-party counter, in the order of ``grid``; two counters run side by side."""
    from sfic_bench.counting import peers

    sizes = {"classes": classes, "input_size": input_size}
    runs = [
        peers.PeerRun(
            builder="sfic_bench.api:build",
            arguments={"backbone": v.backbone, "alpha": v.alpha, "beta": v.beta, **sizes},
            input_size=(1, 3, input_size, input_size),
        )
        for v in grid
    ]
    with progress("counters", len(runs) * len(peers.COUNTERS)) as advance:

        def count(counter: peers.Counter) -> list["PeerCount"]:
            counts = []
            for peer_count in peers.run(counter, runs):
                counts.append(peer_count)
                advance(counter.name)
            return counts

        with ThreadPoolExecutor(max_workers=2) as pool:
            return dict(zip(peers.COUNTERS, pool.map(count, peers.COUNTERS.values()), strict=True))


def _peer_row(costed: "Costed", name: str, peer: "PeerCount", reference: str) -> PeerRow:
    from sfic_bench.counting import conventions, peers

    counter = peers.COUNTERS[name]
    own_macs = costed.cost.totals[counter.convention].macs
    differences = peers.differences(costed.cost.calls, conventions.get(counter.convention), conventions.get(reference))
    return PeerRow(
        counter=name, version=counter.version, macs=peer.macs, reason=peer.reason,
        convention=counter.convention, convention_macs=own_macs,
        unexplained=None if peer.macs is None else peer.macs - own_macs,
        reference=reference,
        differences=[PeerDifference(of=d.label, macs=d.macs, because=str(d)) for d in differences],
    )  # fmt: skip
