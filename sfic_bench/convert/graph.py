"""Networks as graphs, and what is read off them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfic_bench.errors import UnsupportedModel, first_line

WHOLE = (nn.Conv2d, _BatchNorm, nn.GroupNorm, nn.LayerNorm)
"""Classes whose subclasses, too, stay one node: what a norm with an activation does is known by its base."""


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
        if node.target is torch._assert:  # of shapes, which a pair has others of
            graph.erase_node(node)
    traced = fx.GraphModule(tracer.root, graph, type(model).__name__)
    if traced.graph.eliminate_dead_code():
        traced.recompile()
    for name, module in traced.named_modules():
        module.training = model.get_submodule(name).training  # tracing leaves containers in training mode
    return traced


def nodes_in(*arguments: Any) -> list[fx.Node]:
    """The nodes among ``arguments``, also in lists and dictionaries."""
    found: list[fx.Node] = []
    fx.map_arg(arguments, found.append)
    return found


def attribute_of(model: nn.Module, path: str) -> Any:
    """What a graph's ``get_attr`` node reads: a parameter, buffer or constant, by qualified name."""
    module, _, name = path.rpartition(".")
    return getattr(model.get_submodule(module), name)


def where(node: fx.Node) -> str:
    """The qualified name of the module that ``node`` belongs to."""
    if node.op == "call_module":
        return str(node.target)
    stack = list(node.meta.get("nn_module_stack", {}))
    return stack[-1] if stack else ""


def called(node: fx.Node) -> str:
    """What ``node`` does, for people."""
    if isinstance(node.target, str):
        return node.target if node.op != "call_method" else f".{node.target}()"
    return torch.typename(node.target)


def take_over_modes(
    old: Mapping[str, nn.Module], module: nn.Module, path: str = "", training: bool = True
) -> None:
    """Set each module's training or evaluation mode: its old namesake's, else its parent's."""
    if path in old:
        training = old[path].training
    if module.training != training:
        module.training = training
    for name, child in module.named_children():
        take_over_modes(old, child, f"{path}.{name}" if path else name, training)
