"""Counts: what networks cost, whether the paper's figures hold, and where stages would go."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sfic_bench.choices import OnUnsupported
from sfic_bench.collector import objects_called_old
from sfic_bench.commands.counted import Counting
from sfic_bench.commands.given import FilePath, Names, Ratios, grid_named, paths_in
from sfic_bench.commands.watcher import UNWATCHED, Watcher
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks import registry
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.ratios import check_alpha
from sfic_bench.networks.variant import Variant
from sfic_bench.results.audit import AuditResult, ParityRow, UnprintedRow
from sfic_bench.results.catalogue import ExplainedRow, PlacementResult
from sfic_bench.results.claims import ClaimsResult
from sfic_bench.results.cost import CostResult, PeerDifference, PeerRow
from sfic_bench.results.environment import environment

if TYPE_CHECKING:
    from sfic_bench.api import Costed
    from sfic_bench.counting.peers import PeerCount

LOG = logging.getLogger(__name__)


def flops(
    backbone: Names = "all",
    *,
    alpha: Ratios = None,
    beta: Ratios = None,
    input_size: int = 256,
    classes: int = 2,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    per_layer: bool = False,
    peers: bool = False,
    reference: str = "paper",
    workers: int = 1,
    watch: Watcher = UNWATCHED,
) -> CostResult:
    """Count parameters and MACs of backbones and their SFIC forms for one image, without computing anything.

    Examples:
        >>> [row.params for row in flops("vgg13", alpha=0.5, beta=[0.5, 1]).rows]
        [9411906, 9410562, 9410562]

    Args:
        backbone: one name, several, or ``"all"``; names as for `sfic_bench.build`.
        alpha: one share of the frequency channels or several, in [0, 1]; ``()`` for vanilla networks alone; the paper's
            if not given.
        beta: one scale of the frequency branch or several, in (0, 1]; the paper's if not given.
        input_size: height and width of the image, pixels.
        classes: number of logits.
        on_unsupported: see `sfic_bench.to_sfic`.
        per_layer: add every layer to the rows.
        peers: run fvcore, thop, ptflops and torch's FlopCounterMode too, and explain how each differs from the
            convention ``reference``.
        reference: a convention's name.
        workers: number of processes that count several backbones side by side, where the system can fork; with
            ``peers``, one counts. The command's default is as many as cores, and this function's is 1, since a fork of
            a process with several threads is not safe.
        watch: hears of each network.

    Returns:
        A row for each network, vanilla ones among them. Of several backbones, one that cannot be converted has no rows
        of SFIC forms, and one that takes no image of this size has none; either is logged.

    Raises:
        UnsupportedModel, InputTooSmall: if no backbone could be counted.
        UnknownName, InvalidValue: for a name, number or range that cannot be used.
    """
    grid = grid_named(backbone, alpha, beta, on_unsupported)
    tell_kept(grid)
    with objects_called_old():  # imports make many objects and no garbage
        import sfic_bench.api  # noqa: F401  # what is imported here, workers need not import
        from sfic_bench.counting import conventions

    conventions.get(reference)
    counting = Counting(grid=grid, input_size=input_size, classes=classes, per_layer=per_layer)
    if peers:
        counted = list(counting.one_by_one(watch))
        peer_counts = _run_peers([costed.variant for costed in counted], input_size, classes, watch)
        rows = [
            replace(
                counting.row(costed),
                peers=[_peer_row(costed, name, each[i], reference) for name, each in peer_counts.items()],
            )
            for i, costed in enumerate(counted)
        ]
    else:
        rows = list(counting.rows(watch, workers))
    if not rows:
        raise UnsupportedModel("no network could be counted")
    return CostResult(environment=environment(), rows=rows)


def _run_peers(
    variants: Sequence[Variant], input_size: int, classes: int, watch: Watcher
) -> dict[str, list["PeerCount"]]:
    """The counts of each third-party counter, in the order of ``variants``; two counters run side by side."""
    from sfic_bench.counting import peers

    sizes = {"classes": classes, "input_size": input_size}
    runs = [
        peers.PeerRun(
            builder="sfic_bench.api:build",
            arguments={"backbone": v.backbone, "alpha": v.alpha, "beta": v.beta, **sizes},
            input_size=(1, 3, input_size, input_size),
        )
        for v in variants
    ]
    with watch.progress("counters", len(runs) * len(peers.COUNTERS)) as advance:

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


def audit(*, watch: Watcher = UNWATCHED) -> AuditResult:
    """Compare every printed Param and FLOPs cell of the paper's Tables II, III and V with the networks as counted here.

    ``is_good`` of the result tells whether each difference has a known reason.

    Args:
        watch: hears of each network.
    """
    from sfic_bench.paper import CLAIMS, CountedNetwork, cost_cells, printed_at, recompute, variants_needed
    from sfic_bench.paper import audit as audit_cells

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
    with watch.progress("counting", len(needed) + len(unprinted)) as advance:
        for size, variants in by_size.items():
            for costed in api.costs(variants, input_size=size):
                counted[costed.variant] = costed
                advance(str(costed.variant))
    networks = {variant: CountedNetwork.of(costed.row(classes=2)) for variant, costed in counted.items()}
    return AuditResult(
        environment=environment(),
        rows=audit_cells(cells, networks),
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


def audit_claims(results: FilePath | Sequence[FilePath] = ()) -> ClaimsResult:
    """Test what the paper says in words about accuracy on its own printed cells, and on measured ones.

    Args:
        results: files that `sfic_bench.accuracy` or a sweep wrote as JSON.

    Raises:
        UnreadableResult: for a file that holds no accuracies.
    """
    from sfic_bench.paper.claims import audit_words
    from sfic_bench.paper.scores import measured, printed
    from sfic_bench.paper.suspicious import suspicious
    from sfic_bench.results.read import read_accuracies

    rows = audit_words(printed())
    if files := paths_in(results):
        from sfic_bench.data.draws import names_of  # imports pandas

        for path in files:
            measured_rows = read_accuracies(path).rows
            rows += audit_words(measured(measured_rows, names_of(measured_rows)), path.name)
    return ClaimsResult(environment=environment(), rows=rows, suspicious=list(suspicious()))


def explain(
    backbone: str,
    *,
    alpha: float = 0.5,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    all: bool = False,
) -> PlacementResult:
    """Say where a network's stages would go: head, Stage 1, 2, 3, and what stays vanilla.

    Args:
        backbone: a name as for `sfic_bench.build`; `sfic_bench.explain_placement` takes a network instead.
        alpha: share of the frequency channels, in [0, 1].
        on_unsupported: see `sfic_bench.to_sfic`.
        all: have rows for norms, activations and sums, too.

    Raises:
        UnsupportedModel: for a network that cannot be converted.
        UnknownName, InvalidValue: for a name or number that cannot be used.
    """
    check_alpha(alpha)
    from sfic_bench import api  # imports torch

    model = api.build(backbone, device="meta")
    explanation = api.explain_placement(model, alpha=alpha, on_unsupported=on_unsupported)
    rows = [
        ExplainedRow(
            path=o.path, operation=o.operation, role=o.role, note=o.note,
            spatial=None if o.split is None else o.split.spatial,
            frequency=None if o.split is None else o.split.frequency,
        )
        for o in explanation.operations
        if all or o.role != "per branch"
    ]  # fmt: skip
    return PlacementResult(
        environment=environment(), backbone=backbone, alpha=alpha, rows=rows, share=explanation.share,
        summary=explanation.summary,
    )  # fmt: skip


def tell_kept(grid: Grid) -> None:
    """Log which parts of each backbone stay vanilla, if ``grid`` keeps unsupported operations."""
    if grid.on_unsupported is not OnUnsupported.KEEP or not grid.alphas:
        return
    from sfic_bench import api  # imports torch

    for name in grid.backbones:
        model = api.build(name, device="meta")
        explanation = api.explain_placement(model, alpha=grid.alphas[0], on_unsupported="keep")
        kept: dict[str, dict[str, None]] = {}  # operations by module, each once
        for operation in explanation.operations:
            if operation.role == "kept":
                kept.setdefault(operation.path, {})[operation.operation] = None
        if kept:
            modules = "; ".join(f"{path} ({', '.join(operations)})" for path, operations in kept.items())
            LOG.warning("%s keeps vanilla: %s", name, modules)
