"""The new graph as it grows."""

from typing import Any

from torch import fx, nn

from sfic_bench.convert.layout import Layout
from sfic_bench.nn.adapters import Divide, Join


class Building:
    """A graph and the modules that its nodes call, by name."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.modules: dict[str, Any] = {}

    def call(self, target: str, *args: Any, **kwargs: Any) -> fx.Node:
        return self.graph.call_module(target, args, kwargs)

    def call_new(self, name: str, module: nn.Module, *args: Any) -> fx.Node:
        """Call ``module``, which nothing else calls, under ``name`` or one like it."""
        while name in self.modules:
            name += "_"
        self.modules[name] = module
        return self.call(name, *args)

    def divide(self, tensor: fx.Node, layout: Layout, like: fx.Node) -> fx.Node:
        """A single tensor as a pair with ``layout``, resized as ``like`` is."""
        return self.call_new(f"{tensor.name}_divided", Divide(layout.spatial, layout.frequency), tensor, like)

    def join(self, pair: fx.Node, layout: Layout) -> fx.Node:
        """A pair with ``layout`` as the vanilla tensor."""
        place = {c: i for i, c in enumerate(layout.order)}
        order = [place[c] for c in range(layout.total)]
        return self.call_new(f"{pair.name}_joined", Join(order, layout.split.spatial), pair)
