"""The maps of a network of this package, one for each size."""

from typing import NamedTuple

import torch
from torch import Tensor, fx

from sfic_bench.convert import graph_of
from sfic_bench.convert.parts import last_map, narrow_places
from sfic_bench.networks import registry


class _Shapes(fx.Interpreter):
    """Notes the shape of each node's value, by the node's name."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.of: dict[str, torch.Size] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.of[n.name] = value.shape
        return value


class Level(NamedTuple):
    """The last map of its size: what timm says of one, and the name of its node in the vanilla graph."""

    num_chs: int
    reduction: int
    module: str
    node: str


def levels_of(name: str) -> list[Level]:
    """For each size of map, from the largest to the smallest, the last map that a block gives, as timm describes it.

    A block is a child of the network, or a child of a child, that all values go through.
    """
    graph = graph_of(registry.build(name, device="meta").eval())
    shapes, size = _Shapes(graph), registry.INPUT_SIZE
    shapes.run(torch.empty(1, 3, size, size, device="meta"))
    last, found = last_map(graph), dict[int, Level]()
    places = narrow_places(graph.graph)
    places = places[: places.index(last) + 1]
    for node, following in zip(places, [*places[1:], None], strict=True):
        shape = shapes.of.get(node.name, torch.Size())
        block = _block(node)
        if len(shape) == 4 and (following is None or _block(following) != block):
            reduction = round(size / shape[-1])
            found[reduction] = Level(shape[1], reduction, block, node.name)
    return list(found.values())


def _block(node: fx.Node) -> str:
    """The path of the block that a node belongs to."""
    path = str(node.target) if node.op == "call_module" else next(reversed(node.meta.get("nn_module_stack", {})), "")
    return ".".join(path.split(".")[:2])
