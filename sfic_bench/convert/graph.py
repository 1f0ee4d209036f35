"""Networks as torch.fx graphs, and what can be read from such a graph."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument

from sfic_bench.collector import collector_at_rest
from sfic_bench.convert.changes import follow_changes
from sfic_bench.convert.tracing import ReadGraph, trace
from sfic_bench.convert.values import STANDARD, Axes
from sfic_bench.modules import take_over_modes


@collector_at_rest()
def graph_of(model: nn.Module, input_size: int | None = None, *, only_read: bool = False) -> fx.GraphModule:
    """``model`` as a graph. One graph serves any number of `to_sfic` calls.

    Where its code branches on a size, the graph holds for every size at which it takes the same branches.

    Args:
        model: a network, which is not changed and nothing of which is computed, or a graph, which is returned.
        input_size: height and width of the images at which such code is followed; by default what the network says
            (``input_size``, ``default_cfg`` or ``pretrained_cfg``), else 256.
        only_read: make no code of the graph, which then cannot be called, in three quarters of the time.

    Raises:
        UnsupportedModel: if torch.fx cannot trace it; one whose code asks for the values of a tensor never can be.
    """
    if isinstance(model, fx.GraphModule):
        return model
    traced = trace(model, input_size, ReadGraph if only_read else fx.GraphModule)
    has_changed = follow_changes(traced.graph)
    is_unread = any(not node.users and node.op not in ("placeholder", "output") for node in traced.graph.nodes)
    if (is_unread and traced.graph.eliminate_dead_code()) or has_changed:
        traced.recompile()
    take_over_modes(model, traced)  # torch.fx makes containers anew, in training mode
    return traced


def nodes_in(*arguments: Argument) -> list[fx.Node]:
    """The nodes among ``arguments``, also in lists and dictionaries."""
    nodes: list[fx.Node] = []
    fx.map_arg(arguments, nodes.append)
    return nodes


class Call:
    """What the ``node`` of a graph calls: a module, a function or a method of a tensor.

    Attributes:
        module: the module that it calls, if it calls one.
        path: the qualified name of that module, or an empty string.
        axes: of the map that it reads.
    """

    def __init__(self, node: fx.Node, modules: Mapping[str, nn.Module], axes: Axes = STANDARD) -> None:
        self.node, self.axes = node, axes
        self.path = str(node.target) if node.op == "call_module" else ""
        self.module = modules[self.path] if self.path else None

    @property
    def description(self) -> str:
        """The class of the module, or the name of the function or method, for people."""
        if self.module is not None:
            return type(self.module).__name__
        target = self.node.target
        return torch.typename(target) if callable(target) else f".{target}()" if self.is_method else target

    @property
    def is_method(self) -> bool:
        return self.node.op == "call_method"

    @property
    def place(self) -> str:
        """The qualified name of the module that the call belongs to; empty for the network's own ``forward``."""
        return self.path or next(reversed(self.node.meta.get("nn_module_stack", {})), "")

    @property
    def function(self) -> Callable[..., Tensor]:
        """The function that is called; of a method, the function of `torch.Tensor`."""
        target = self.node.target
        function = getattr(torch.Tensor, target) if isinstance(target, str) else target
        assert callable(function)
        return function

    def is_channels(self, axis: Argument) -> bool:
        """Whether ``axis``, which may count from the end, is that of the channels."""
        return isinstance(axis, int) and -4 <= axis < 4 and self.axes[axis] == 1

    def argument(self, place: int, name: str, default: Argument = None) -> Argument:
        """An argument, by its place or its name."""
        args = self.node.args
        return args[place] if len(args) > place else self.node.kwargs.get(name, default)
