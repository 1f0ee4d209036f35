"""The new graph of a rewrite, as it grows."""

import copy
from collections.abc import Callable
from itertools import takewhile

from torch import fx, nn
from torch.fx.node import Argument

from sfic_bench.convert.blueprint import Blueprint
from sfic_bench.convert.following import FollowingGraph
from sfic_bench.convert.layout import Layout
from sfic_bench.convert.prototypes import Given, Made, Prototypes
from sfic_bench.convert.values import STANDARD, Axes, Folded, Paired, Single
from sfic_bench.nn.adapters import Divide, Join

SIZE_ARITHMETIC = frozenset(
    (
        *("vanilla_shape", "len", "getattr", "getitem", "add", "sub", "mul", "floordiv", "truediv", "mod", "neg"),
        *("int", "round", "ceil", "floor", "trunc", "max", "min"),
    )
)
"""Functions by which sizes are computed. They change nothing, so a call that nothing reads can go."""


class Building:
    """A graph that grows node by node, and the modules that its nodes call, by name.

    With ``prototypes``, equal modules are one. With the graph ``like``, the graph must become the same, see
    `FollowingGraph`.
    """

    def __init__(self, prototypes: Prototypes | None = None, like: fx.Graph | None = None) -> None:
        self.graph = fx.Graph() if like is None else FollowingGraph(like)
        self._prototypes = prototypes
        self.modules: dict[str, object] = {}
        self._joined: dict[fx.Node, fx.Node] = {}

    def made(self, make: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made:
        """What ``make`` gives, such as a new module; what an equal call has given, if there are prototypes."""
        return make(*args, **kwargs) if self._prototypes is None else self._prototypes.made(make, *args, **kwargs)

    def call(self, path: str, *args: Argument, **kwargs: Argument) -> fx.Node:
        return self.graph.call_module(path, args, kwargs)

    def call_new(self, name: str, module: nn.Module, *args: Argument, **kwargs: Argument) -> fx.Node:
        """Call ``module``, which nothing else calls, under ``name`` or a name like it that is free."""
        while name in self.modules or hasattr(nn.Module, name.rpartition(".")[2]):  # such as ``float``
            name += "_"
        self.modules[name] = module
        return self.call(name, *args, **kwargs)

    def read_attribute(self, node: fx.Node, model: nn.Module) -> object:
        """A copy of the parameter, buffer or constant of ``model`` that the ``get_attr`` node ``node`` reads."""
        path, _, name = str(node.target).rpartition(".")
        value = self.modules[str(node.target)] = copy.deepcopy(getattr(model.get_submodule(path), name))
        return value

    def divide(self, tensor: Single, layout: Layout, like: Paired) -> Paired:
        """A single tensor as a pair with ``layout``, resized as ``like`` is."""
        name = f"{tensor.node.name}_divided"
        return Paired(self.call_new(name, self.made(Divide, *layout), tensor.node, like.node), layout)

    def join(self, value: Paired | Folded) -> Single:
        """A pair as the vanilla tensor."""
        if isinstance(value, Folded):
            matrix = (value.rows, value.columns)
            node = self.graph.call_method("unflatten", (self.join(value.pair).node, 1, matrix))
            return Single(self.graph.call_method("transpose", (node, 1, 2)) if value.transposed else node)
        joined = self._joined.get(value.node)
        if joined is None:
            module = self.made(Join, value.layout.places)
            joined = self.call_new(f"{value.node.name}_joined", module, value.node)
            self._joined[value.node] = joined
        if value.axes != STANDARD:
            joined = self.graph.call_method("permute", (joined, *value.axes))
        return Single(joined, value.layout.total)

    def in_standard_order(self, tensor: fx.Node, rank: int, axes: Axes) -> fx.Node:
        """A single tensor of ``rank`` axes, which are the last of ``axes``, as ``[B, C, H, W]``."""
        for _ in range(len(STANDARD) - rank):
            tensor = self.graph.call_method("unsqueeze", (tensor, 0))
        return self.graph.call_method("permute", (tensor, *(axes.index(axis) for axis in STANDARD)))

    @property
    def last(self) -> fx.Node | None:
        """The newest node."""
        return next(reversed(self.graph.nodes), None)

    def take_back(self, last: fx.Node | None) -> None:
        """Erase all nodes that came after the node ``last``."""
        added = list(takewhile(lambda node: node is not last, reversed(self.graph.nodes)))
        for node in added:
            self.graph.erase_node(node)
        self._joined = {pair: joined for pair, joined in self._joined.items() if joined not in added}

    def blueprint(self, name: str) -> Blueprint:
        """The finished network, of a class ``name``."""
        for node in reversed(self.graph.nodes):  # sizes for views of pairs that stay as they are, unread parts
            is_size = getattr(node.target, "__name__", "") in SIZE_ARITHMETIC and node.op == "call_function"
            if is_size and not node.users:
                self.graph.erase_node(node)
        graph = self.graph.finished() if isinstance(self.graph, FollowingGraph) else self.graph
        paths = [str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")]
        return Blueprint(name=name, graph=graph, modules={path: self.modules[path] for path in paths})
