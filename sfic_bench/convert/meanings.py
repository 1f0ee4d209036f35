"""Which operations mean on a pair what they mean on a tensor: those that treat every channel by itself."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

POOLS = (nn.MaxPool2d, nn.AvgPool2d)

MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.CELU, nn.SELU),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus, nn.LogSigmoid),
    *(*POOLS, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    *(nn.Dropout, nn.Dropout2d, nn.Identity, nn.Upsample),
    *(nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d),
)
"""Modules without weights that treat every channel by itself."""

SUMS = (
    *(
        operator.add,
        operator.iadd,
        operator.sub,
        operator.isub,
        operator.mul,
        operator.imul,
        operator.truediv,
    ),
    *(torch.add, torch.sub, torch.mul, torch.div, torch.maximum, torch.minimum),
)
"""Functions of two tensors, element by element."""

FUNCTIONS = (
    *SUMS,
    *(torch.relu, torch.sigmoid, torch.tanh, operator.neg, torch.abs, torch.exp, torch.sqrt),
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.hardswish, F.hardtanh, F.softplus),
    *(
        F.pad,
        torch._C._nn.pad,
        F.sigmoid,
        F.tanh,
        F.hardsigmoid,
        F.dropout,
        F.dropout2d,
        F.adaptive_avg_pool2d,
        F.adaptive_max_pool2d,
    ),
)
"""Functions that treat every channel by itself."""

FUNCTION_NAMES = frozenset({"stochastic_depth", "drop_path"})
"""Functions of other libraries that do, by their names."""

METHODS = frozenset(
    (
        *("add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "clone", "contiguous", "detach"),
        *("relu", "relu_", "sigmoid", "sigmoid_", "tanh", "tanh_", "clamp", "clamp_", "to", "float"),
    )
)
"""Methods of tensors that do."""

POOL_FUNCTIONS: dict[Callable[..., Any], type[nn.Module]] = {
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    F.avg_pool2d: nn.AvgPool2d,
}
"""Functions that stand for the module with the same arguments."""

CATS = tuple(getattr(torch, name) for name in ("cat", "concat", "concatenate"))
PARTS = (torch.chunk, torch.split, torch.functional.split)
PART_METHODS = frozenset({"chunk", "split"})
SIZES = frozenset({"size", "shape", "dim"})
ARITHMETIC = (
    *(operator.getitem, operator.add, operator.sub, operator.mul, operator.floordiv, operator.truediv),
    *(operator.mod, operator.neg, getattr),
)
"""What sizes may go through on their way into a view."""
RESHAPES = frozenset({"view", "reshape"})


def is_norm(module: nn.Module | None) -> bool:
    """A norm whose weights can be dealt out to the branches."""
    if isinstance(module, _BatchNorm | nn.GroupNorm):
        return True
    # The 2d kind of other libraries normalises [B, C, H, W] over C; torch's own has C last.
    return isinstance(module, nn.LayerNorm) and type(module).__name__.startswith("LayerNorm2d")


def is_spatial_mean(node: fx.Node) -> bool:
    """A mean over height and width that keeps both as 1."""
    if node.target not in (torch.mean, "mean", torch.amax, "amax"):
        return False
    dims = argument(node, 1, "dim")
    if not isinstance(dims, list | tuple) or not argument(node, 2, "keepdim"):
        return False
    return sorted(d % 4 if isinstance(d, int) else -1 for d in dims) == [2, 3]


def argument(node: fx.Node, place: int, name: str, default: Any = None) -> Any:
    """An argument by its place or its name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def keeps_channels(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether ``node``'s result is channel by channel what its inputs were, so that one split serves both."""
    if node.op == "call_module":
        return is_norm(module) or isinstance(module, MODULES)
    if node.op == "call_method":
        return node.target in METHODS or is_spatial_mean(node)
    if node.op != "call_function":
        return False
    return (
        node.target in FUNCTIONS
        or node.target in POOL_FUNCTIONS
        or getattr(node.target, "__name__", "") in FUNCTION_NAMES
        or is_spatial_mean(node)
    )


def moves_channels(node: fx.Node) -> bool:
    """Whether ``node`` joins, takes apart or views channels, whose values stay what they were."""
    if node.op == "call_method":
        return node.target in PART_METHODS | RESHAPES | {"transpose"}
    return node.op == "call_function" and (
        node.target in (*CATS, *PARTS, operator.getitem, torch.transpose, torch.reshape)
    )
