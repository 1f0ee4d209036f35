"""Networks that are not built: a graph, and what lies at each path that it names."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import fx, nn

from sfic_bench.modules import modules_by_name, take_over_modes
from sfic_bench.nn import Stage1
from sfic_bench.nn.fused import ReducedStage1
from sfic_bench.nn.stages import stages_in


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """A network that is not built.

    Attributes:
        name: of the class of the network.
        modules: the modules, parameters and constants that the graph names, by path. In a network that is only looked
            at, equal modules may be one object (`sfic_bench.convert.prototypes`).
    """

    name: str
    graph: fx.Graph
    modules: Mapping[str, object]

    @classmethod
    def of(cls, network: fx.GraphModule) -> "Blueprint":
        """The blueprint of a network, with the modules that it has."""
        modules = modules_by_name(network)
        named = {str(n.target): modules[str(n.target)] for n in network.graph.nodes if n.op == "call_module"}
        for node in network.graph.nodes:
            if node.op == "get_attr":
                path, _, name = str(node.target).rpartition(".")
                named[str(node.target)] = getattr(modules[path], name)
        return cls(name=type(network).__name__, graph=network.graph, modules=named)

    @cached_property
    def layers(self) -> Mapping[str, nn.Module]:
        """The modules alone, by path."""
        return {path: module for path, module in self.modules.items() if isinstance(module, nn.Module)}

    @cached_property
    def first_stages(self) -> Mapping[str, nn.Module]:
        """The modules that depend on β, by path."""
        acting = {
            layer
            for layer in set(self.layers.values())
            if any(isinstance(stage, Stage1 | ReducedStage1) for stage in stages_in(layer))
        }
        return {path: layer for path, layer in self.layers.items() if layer in acting}

    def built(self, original: nn.Module) -> fx.GraphModule:
        """The network; each module has the mode (training or evaluation) of its namesake in ``original``."""
        network = fx.GraphModule(dict(self.modules), self.graph, self.name)
        take_over_modes(original, network)
        return network
