"""Networks as torch.fx graphs, and what can be read from such a graph."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument
from torch.nn.modules.batchnorm import _BatchNorm

from sfic_bench.convert.values import STANDARD, Axes
from sfic_bench.errors import UnsupportedModel, first_line

WHOLE = (nn.Conv2d, _BatchNorm, nn.GroupNorm, nn.LayerNorm)
"""Classes whose subclasses stay one node, too: a norm with an activation is known by its base class."""


class _Tracer(fx.Tracer):
    failed_at = ""
    """The innermost module whose code could not be traced."""

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_at = self.failed_at or self.path_of_module(m)
            raise

    def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
        return isinstance(m, WHOLE) or super().is_leaf_module(m, qualified_name)


def graph_of(model: nn.Module) -> fx.GraphModule:
    """``model`` as a graph. One graph serves any number of `to_sfic` calls.

    Raises:
        UnsupportedModel: if torch.fx cannot trace it.
    """
    if isinstance(model, fx.GraphModule):
        return model
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    except Exception as error:  # whatever the network's own code raises when it is given no tensor
        at = f" (at {tracer.failed_at})" if tracer.failed_at else ""
        raise UnsupportedModel(
            f"torch.fx cannot trace {type(model).__name__}{at}: {type(error).__name__}: {first_line(error)}"
        ) from error
    for node in reversed(graph.nodes):
        if node.target is torch._assert:  # it checks shapes, and a pair has others
            graph.erase_node(node)
    traced = fx.GraphModule(tracer.root, graph, type(model).__name__)
    if traced.graph.eliminate_dead_code():
        traced.recompile()
    for name, module in traced.named_modules():
        module.training = model.get_submodule(name).training  # tracing leaves containers in training mode
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
