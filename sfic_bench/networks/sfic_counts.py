"""What the SFIC forms of a vanilla network cost, at any β, without building them."""

from collections import Counter
from dataclasses import replace
from functools import cached_property
from typing import Protocol

from torch import fx, nn

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert import (
    Blueprint,
    ConversionOptions,
    Parity,
    Placement,
    Prototypes,
    VanillaParameters,
    at_beta,
    convert,
    fuse,
    fused_blueprint,
    parity,
    placement_of,
    set_beta,
)
from sfic_bench.counting import Cost, GraphCounter, Records, count
from sfic_bench.counting.formulas import Shape
from sfic_bench.modules import modules_by_name, parameters_by_name


class KeptLayers:
    """What is found out about layers while networks are counted: those made so far, and what they do."""

    def __init__(self) -> None:
        self.prototypes, self.records = Prototypes(), Records()


class SficCounts(Protocol):
    """Counts an SFIC network and its fused forms at any β."""

    @property
    def parity(self) -> Parity:
        """Why it has more or fewer parameters than the vanilla network."""

    def count(self, shape: Shape, beta: float) -> Cost:
        """What the network costs for an input of ``shape``."""

    def count_fused(self, shape: Shape, beta: float) -> Cost:
        """What its fused form with its norms costs; norms count nothing."""


class SficForms:
    """Counts the SFIC forms of a vanilla network, with what ``kept`` knows of layers already."""

    def __init__(self, graph: fx.GraphModule, kept: KeptLayers) -> None:
        self._graph, self._kept = graph, kept
        self._latest: dict[str, GraphCounter] = {}
        self._placements: dict[OnUnsupported, Placement] = {}

    def counts(self, alpha: float, on_unsupported: OnUnsupported) -> SficCounts:
        """What counts the form with ``alpha``.

        Raises:
            UnsupportedModel: as `sfic_bench.to_sfic` does.
        """
        if on_unsupported not in self._placements:
            self._placements[on_unsupported] = placement_of(self._graph, divides=on_unsupported == OnUnsupported.JOIN)
        placement = self._placements[on_unsupported]
        options = ConversionOptions(
            placement=placement, alpha=alpha, beta=1.0, on_unsupported=on_unsupported, share=True,
            prototypes=self._kept.prototypes,
        )  # fmt: skip
        if self._shares_parameters:
            return _OfNetwork(self._graph, replace(options, prototypes=None))
        return _OfBlueprint(self._graph, self._parameters, options, self._kept, self._latest)

    @cached_property
    def _parameters(self) -> VanillaParameters:
        return VanillaParameters(self._graph)

    @cached_property
    def _shares_parameters(self) -> bool:
        return _has_shared_parameters(self._graph)


def _has_shared_parameters(graph: fx.GraphModule) -> bool:
    """Whether a parameter belongs to several of the modules that the graph calls, so that paths do not tell them apart.

    A blueprint has modules of its own for each path.
    """
    modules = modules_by_name(graph)
    paths = {str(node.target) for node in graph.graph.nodes if node.op == "call_module"}
    held = Counter([id(p) for path in paths for p in parameters_by_name(modules[path]).values()])
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    held.update(id(graph.get_parameter(name)) for name in parameters_by_name(graph) if name in read)
    return any(times > 1 for times in held.values())


class _OfBlueprint:
    """Counts a network that is not built, by what is known of its layers.

    ``latest`` has what counted the latest form of the same vanilla network as drawn, fused and joined, and fused alone.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        parameters: VanillaParameters,
        options: ConversionOptions,
        kept: KeptLayers,
        latest: dict[str, GraphCounter],
    ) -> None:
        self._parameters, self._kept, self._latest = parameters, kept, latest
        self._blueprint = convert(graph, options, self._graph_of("drawn")).blueprint
        self._counter = self._counter_of("drawn", self._blueprint)
        self._fused: dict[str, tuple[Blueprint, GraphCounter]] = {}

    @cached_property
    def parity(self) -> Parity:
        return parity(self._parameters, self._blueprint)

    def count(self, shape: Shape, beta: float) -> Cost:
        return self._counter.count(shape, instead=at_beta(self._blueprint, beta, self._kept.prototypes))

    def count_fused(self, shape: Shape, beta: float) -> Cost:
        form = "joined" if beta == 1 else "fused"  # the latter serves all β but 1
        prototypes = self._kept.prototypes
        if form not in self._fused:
            modules = {**self._blueprint.modules, **at_beta(self._blueprint, beta, prototypes)}
            fused = fused_blueprint(replace(self._blueprint, modules=modules), prototypes, self._graph_of(form))
            self._fused[form] = fused, self._counter_of(form, fused)
        fused, counter = self._fused[form]
        return counter.count(shape, instead=at_beta(fused, beta, prototypes))

    def _graph_of(self, form: str) -> fx.Graph | None:
        return self._latest[form].graph if form in self._latest else None

    def _counter_of(self, form: str, network: Blueprint) -> GraphCounter:
        if network.graph is self._graph_of(form):
            self._latest[form] = self._latest[form].having(network.modules)
        else:
            self._latest[form] = GraphCounter(network.graph, network.modules, self._kept.records)
        return self._latest[form]


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
