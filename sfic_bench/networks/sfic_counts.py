"""What the SFIC forms of a vanilla network cost, at any β, without building them."""

from collections import Counter
from dataclasses import replace
from typing import Protocol

from torch import fx, nn

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert import (
    Blueprint,
    ConversionOptions,
    Parity,
    Placement,
    Prototypes,
    at_beta,
    convert,
    fuse,
    fused_blueprint,
    parity,
    set_beta,
)
from sfic_bench.counting import Cost, GraphCounter, Records, count
from sfic_bench.counting.formulas import Shape


class KeptLayers:
    """What is found out about layers while networks are counted: those made so far, and what they do."""

    def __init__(self) -> None:
        self.prototypes, self.records = Prototypes(), Records()


class SficCounts(Protocol):
    """Counts an SFIC network and its fused forms at any β.

    Attributes:
        parity: why it has more or fewer parameters than the vanilla network.
    """

    parity: Parity

    def count(self, shape: Shape, beta: float) -> Cost:
        """What the network costs for an input of ``shape``."""

    def count_fused(self, shape: Shape, beta: float) -> Cost:
        """What its fused form with its norms costs; norms count nothing."""


def sfic_counts(
    graph: fx.GraphModule, placement: Placement, alpha: float, on_unsupported: OnUnsupported, kept: KeptLayers
) -> SficCounts:
    """Counts the SFIC form of a vanilla network, with what ``kept`` knows of layers already.

    Raises:
        UnsupportedModel: as `sfic_bench.to_sfic` does.
    """
    options = ConversionOptions(
        placement=placement, alpha=alpha, beta=1.0, on_unsupported=on_unsupported, share=True,
        prototypes=kept.prototypes,
    )  # fmt: skip
    if _has_shared_parameters(graph):
        return _OfNetwork(graph, replace(options, prototypes=None))
    return _OfBlueprint(graph, options, kept)


def _has_shared_parameters(graph: fx.GraphModule) -> bool:
    """Whether a parameter belongs to several of the modules that the graph calls, so that paths do not tell them apart.

    A blueprint has modules of its own for each path.
    """
    modules = dict(graph.named_modules())
    paths = {str(node.target) for node in graph.graph.nodes if node.op == "call_module"}
    held = Counter(id(p) for path in paths for p in modules[path].parameters())
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    held.update(id(graph.get_parameter(name)) for name, _ in graph.named_parameters() if name in read)
    return any(times > 1 for times in held.values())


class _OfBlueprint:
    """Counts a network that is not built, by what is known of its layers."""

    def __init__(self, graph: fx.GraphModule, options: ConversionOptions, kept: KeptLayers) -> None:
        self._kept = kept
        self._blueprint = convert(graph, options).blueprint
        self.parity = parity(graph, self._blueprint)
        self._counter = GraphCounter(self._blueprint.graph, self._blueprint.modules, kept.records)
        self._fused: dict[bool, tuple[Blueprint, GraphCounter]] = {}

    def count(self, shape: Shape, beta: float) -> Cost:
        return self._counter.count(shape, instead=at_beta(self._blueprint, beta, self._kept.prototypes))

    def count_fused(self, shape: Shape, beta: float) -> Cost:
        is_joined = beta == 1
        if is_joined not in self._fused:  # one serves β = 1, and another one all other β
            modules = {**self._blueprint.modules, **at_beta(self._blueprint, beta, self._kept.prototypes)}
            fused = fused_blueprint(replace(self._blueprint, modules=modules), self._kept.prototypes)
            self._fused[is_joined] = fused, GraphCounter(fused.graph, fused.modules, self._kept.records)
        fused, counter = self._fused[is_joined]
        return counter.count(shape, instead=at_beta(fused, beta, self._kept.prototypes))


class _OfNetwork:
    """Counts a network that is built, by tracing it."""

    def __init__(self, graph: fx.GraphModule, options: ConversionOptions) -> None:
        self._network = convert(graph, options).network
        self.parity = parity(graph, self._network)
        self._fused: dict[bool, nn.Module] = {}

    def count(self, shape: Shape, beta: float) -> Cost:
        set_beta(self._network, beta)
        return count(self._network, shape)

    def count_fused(self, shape: Shape, beta: float) -> Cost:
        is_joined = beta == 1
        if is_joined not in self._fused:
            set_beta(self._network, beta)
            self._fused[is_joined] = fuse(self._network, for_training=True, share=True)
        set_beta(self._fused[is_joined], beta)
        return count(self._fused[is_joined], shape)
