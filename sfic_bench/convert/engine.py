"""The rewrite: a vanilla network and a placement become an SFIC network, by one pass over the graph.

Each node of the vanilla graph becomes a value of the new graph (see `sfic_bench.convert.values`), by the rule for its
operation (see `sfic_bench.convert.rules`). Which values are pairs follows from the data flow; each pair's `Layout`
travels along with it and is never worked out anew.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from torch import fx, nn

from sfic_bench.choices import McsMode, OnUnsupported
from sfic_bench.collector import collector_at_rest
from sfic_bench.convert.blueprint import Blueprint
from sfic_bench.convert.following import made_along
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.operation import Conversion, ExplainedOperation, Operation, Refusal
from sfic_bench.convert.options import ConversionOptions, Placement
from sfic_bench.convert.placement import placement_of
from sfic_bench.convert.prototypes import Prototypes
from sfic_bench.convert.rules import rule_for
from sfic_bench.convert.share import check_share, share_on_pairs
from sfic_bench.convert.values import Paired, Value, Vector
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import Split, Stage1
from sfic_bench.nn.fused import ReducedStage1
from sfic_bench.nn.split import check_beta


def to_sfic(
    model: nn.Module,
    alpha: float,
    beta: float,
    *,
    placement: Placement | None = None,
    mcs: McsMode | str = McsMode.LEARNED,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    share: bool = False,
    input_size: int | None = None,
) -> fx.GraphModule:
    """The SFIC form of a vanilla network, a new module with weights of its own.

    Its block weights are slices of the vanilla ones. A convolution's bias in front of a BatchNorm is
    dropped, as in the paper's networks, and moves into the BatchNorm's running mean. At β = 1, with
    MCSConv as the identity, the function is the vanilla one, save for strides, which become pools. Norms over several
    channels (GroupNorm, LayerNorm) take their statistics over both branches, see `sfic_bench.nn.norms`. Gates and
    attention over channels act as in the vanilla network at any β, since neither branch of a pooled pair is resized.

    Args:
        model: a vanilla network that torch.fx can trace, or its graph from `graph_of`; not changed.
        alpha: share of the frequency channels, in [0, 1].
        beta: height and width of the frequency branch over those of the spatial one, in (0, 1].
        placement: where Stage 1 and Stage 3 go; by default `placement_of` the network.
        mcs: see `sfic_bench.nn.MCSConv`.
        on_unsupported: an operation without a meaning on a pair, such as attention between places, runs on the joined
            pair as it is in the vanilla network, at the size of S. The next convolution divides its result into a pair
            again (``"join"``), or it and all that follows stay vanilla until a sum with a pair (``"keep"``). With
            ``"error"`` it is refused.
        share: use the modules that stay as they are instead of copies of them, for a network that is
            only looked at.
        input_size: see `graph_of`.

    Raises:
        ValueError: for a ratio out of range.
        UnsupportedModel: for an operation without a meaning on a pair that is to be an error, named by node and module;
            with ``"join"``, if less than half of the convolutions' MACs would lie on pairs; for a network without a
            place for Stage 1, or one whose result would be a pair.
    """
    Split.of(0, alpha)
    check_beta(beta)
    vanilla = graph_of(model, input_size)
    options = ConversionOptions(
        placement=placement or placement_of(vanilla, divides=on_unsupported == OnUnsupported.JOIN),
        alpha=alpha,
        beta=beta,
        mcs=mcs,
        on_unsupported=on_unsupported,
        share=share,
    )
    return convert(vanilla, options).network


def set_beta(model: nn.Module, beta: float) -> None:
    """Change β of an SFIC network in place.

    β acts in Stage 1 alone, all later sizes follow from Stage 1's result, and no weight depends on it.
    A fused network whose pairs are joined was made for β = 1 and cannot take another one, unless it has no F.

    Raises:
        ValueError: for β outside (0, 1], or a joined network.
    """
    check_beta(beta)
    modules = list(model.modules())
    if beta != 1 and any(isinstance(m, ReducedStage1) and m.joined and m.frequency for m in modules):
        raise ValueError(f"this network was fused for beta = 1 and cannot take beta = {beta}: fuse it anew")
    for module in modules:
        if isinstance(module, Stage1 | ReducedStage1):
            module.beta = beta


def at_beta(blueprint: Blueprint, beta: float, prototypes: Prototypes) -> dict[str, nn.Module]:
    """The layers, by path, that are others in this network at ``beta``.

    Raises:
        ValueError: as `set_beta` does.
    """
    return {path: prototypes.made(_copy_at_beta, layer, beta) for path, layer in blueprint.first_stages.items()}


def _copy_at_beta(layer: nn.Module, beta: float) -> nn.Module:
    # A shallow copy has the same convolutions, and a β of its own.
    layer = copy.copy(layer) if isinstance(layer, Stage1 | ReducedStage1) else copy.deepcopy(layer)
    set_beta(layer, beta)
    return layer


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An SFIC network, and what has become of the vanilla network's operations, in order.

    Attributes:
        original: the graph of the vanilla network.
        share: of the MACs of all convolutions (and of linear layers on maps), those of layers that have become stages,
            at a size that the network takes; ``None`` if it does not run without data.
    """

    blueprint: Blueprint
    original: fx.GraphModule
    operations: tuple[ExplainedOperation, ...]
    share: Callable[[], float | None]

    @cached_property
    def network(self) -> fx.GraphModule:
        """The network itself, which is built when it is first asked for."""
        return self.blueprint.built(self.original)


@collector_at_rest()
def convert(vanilla: fx.GraphModule, options: ConversionOptions, like: fx.Graph | None = None) -> Converted:
    """The SFIC form of a vanilla graph, which is not changed.

    ``like`` is the graph of another SFIC form, which is quicker to follow than a new one is to make; if this form has
    the same calls, it has this graph.

    Raises:
        UnsupportedModel: for a placement that does not fit, or an operation that cannot run on a pair, named by node
            and module.
    """
    return made_along(like, partial(_converted, vanilla, options))


def _converted(vanilla: fx.GraphModule, options: ConversionOptions, like: fx.Graph | None) -> Converted:
    conversion = Conversion(vanilla, options, like)
    placement = options.placement
    for name in (*placement.stage1, *placement.stage3, *placement.reads, *placement.reads.values()):
        if not isinstance(conversion.modules.get(name), nn.Conv2d | nn.Linear) or name not in conversion.calls:
            raise UnsupportedModel(f"the placement names {name!r}, which is no Conv2d or Linear of this network")
    for node in vanilla.graph.nodes:
        conversion.values[node] = _value_of(Operation(conversion, node))
    blueprint = conversion.building.blueprint(f"SFIC{type(vanilla).__name__}")
    if options.on_unsupported == OnUnsupported.JOIN:
        check_share(conversion)
    return Converted(
        blueprint=blueprint,
        original=vanilla,
        operations=tuple(conversion.explained),
        share=partial(share_on_pairs, conversion),
    )


def _value_of(operation: Operation) -> Value:
    rule = rule_for(operation)
    if rule is None or not operation.values:
        return operation.as_in_vanilla()
    explained, last = len(operation.conversion.explained), operation.building.last
    try:
        value = rule.meaning(operation)
    except UnsupportedModel as error:
        operation.building.take_back(last)
        if not isinstance(error, Refusal) or operation.options.on_unsupported == OnUnsupported.ERROR:
            raise
        del operation.conversion.explained[explained:]
        return operation.as_in_vanilla()
    if isinstance(value, Paired) and rule.pools(operation):
        return Vector(value.node, value.layout, value.axes)
    return value
