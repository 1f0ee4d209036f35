"""The code of one convolution module as a graph, whichever way it comes to its weight."""

import copy
import math
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from operator import attrgetter
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.node import Target
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm

from sfic_bench.convert.changes import follow_changes
from sfic_bench.errors import first_line
from sfic_bench.nn.computed import SpectralWeight, without_gradient

INPUT_SIZE = (24, 25)
"""Height and width of the input that is traced: one even and one odd."""

INLINED = (nn.ZeroPad2d, nn.ConstantPad2d, nn.Identity)
"""Modules of torch whose own code is traced, too."""


def traced(conv: nn.Conv2d, training: bool | None = None) -> tuple[fx.Graph, Mapping[str, object]]:
    """What ``conv`` computes from its one input, and the parameters, buffers and modules that it uses, by name.

    Without ``training``, code that asks for the mode cannot be traced, nor can functions of `math`; it takes half the
    time.

    Raises:
        ValueError: if its code cannot be traced.
    """
    # Not `copy.copy`, which a parametrised module forbids. What its code sets must not be set in `conv`.
    probe = object.__new__(type(conv))
    probe.__dict__.update({name: copy.copy(v) if isinstance(v, dict) else v for name, v in vars(conv).items()})
    probe.__dict__["training"] = training
    if training is None:
        del probe.__dict__["training"]
    root, tracer = _Called(probe, conv.training), _CodeTracer(conv.in_channels, () if training is None else (math,))
    try:
        with torch.enable_grad():  # a part of the code without gradients shall stand out
            graph = tracer.trace(root)
    except Exception as error:  # whatever another's code raises when it is given no tensor
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"cannot trace how {type(conv).__name__} computes its weight: {reason}") from error
    tensors = {**conv._parameters, **conv._buffers}
    kept = {**probe._parameters, **probe._buffers}
    if tracer.is_data_changed() or any(kept[name] is not tensor for name, tensor in tensors.items()):
        raise ValueError(f"{type(conv).__name__} sets its own parameters or buffers at each call")
    follow_changes(graph)
    parts: dict[str, object] = {}
    for node in graph.nodes:
        if node.op in ("get_attr", "call_module"):
            value = attrgetter(node.target)(root)
            node.target = node.target.removeprefix("conv.")
            parts[node.target] = value
    return graph, parts


class _Called(nn.Module):
    """Calls a convolution, with the hooks that compute its weight."""

    def __init__(self, conv: nn.Conv2d, training: bool) -> None:
        super().__init__()
        self.conv = conv
        self.hooks = conv._forward_pre_hooks.values() if "weight" not in conv._parameters else ()
        for hook in self.hooks:
            if isinstance(hook, SpectralNorm):
                self.spectral = SpectralWeight(conv, hook, training)

    def forward(self, x: Tensor) -> Tensor:
        for hook in self.hooks:
            if isinstance(hook, SpectralNorm):  # its code differs in training
                setattr(self.conv, hook.name, self.spectral())
            else:
                hook(self.conv, (x,))
        return self.conv.forward(x)


class _KnownShape(fx.Proxy):
    """A traced tensor whose shape is known, so that code may ask for it."""

    def __init__(self, node: fx.Node, tracer: fx.Tracer, like: Tensor) -> None:
        super().__init__(node, tracer)
        self._like = like

    @property
    def shape(self) -> torch.Size:
        return self._like.shape

    @property
    def ndim(self) -> int:
        return self._like.ndim

    def size(self, dim: int | None = None) -> int | torch.Size:
        return self._like.size() if dim is None else self._like.size(dim)

    def dim(self) -> int:
        return self._like.dim()

    def numel(self) -> int:
        return self._like.numel()

    nelement = numel


class _CodeTracer(fx.Tracer):
    """Traces parameters and buffers as symbols, and what is computed without gradients as such."""

    def __init__(self, channels: int, wrapped: tuple[ModuleType, ...]) -> None:
        super().__init__(autowrap_modules=wrapped)  # type: ignore[arg-type]  # torch's type means one module
        self._input = torch.empty(2, channels, *INPUT_SIZE, device="meta")
        self._tensors: list[_KnownShape] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, ParametrizationList | SpectralWeight):
            return True
        return super().is_leaf_module(m, module_qualified_name) and not isinstance(m, INLINED)

    def getattr(self, _: str, attr_val: object, parameter_proxy_cache: dict[str, fx.Proxy]) -> object:
        if not isinstance(attr_val, Tensor):
            return attr_val
        named = (*self.root.named_parameters(), *self.root.named_buffers())
        name = next((n for n, tensor in named if tensor is attr_val), None)
        if name is None:
            return attr_val
        if name not in parameter_proxy_cache:
            known = lambda node: self._known(node, attr_val)  # noqa: E731
            parameter_proxy_cache[name] = super().create_proxy("get_attr", name, (), {}, proxy_factory_fn=known)
        return parameter_proxy_cache[name]

    def create_proxy(
        self, kind: str, target: Target, args: tuple[object, ...], kwargs: dict[str, object], *more: Any, **others: Any
    ) -> fx.Proxy:
        proxy = super().create_proxy(kind, target, args, kwargs, *more, **others)
        if kind == "placeholder":
            return self._known(proxy.node, self._input)
        if kind.startswith("call_") and not torch.is_grad_enabled():
            return super().create_proxy("call_function", without_gradient, (proxy,), {})
        return proxy

    def is_data_changed(self) -> bool:
        """Whether the code has set an attribute of a tensor, such as its ``data``."""
        return any(vars(t).keys() - {"tracer", "node", "_like"} for t in self._tensors)

    def _known(self, node: fx.Node, like: Tensor) -> _KnownShape:
        self._tensors.append(_KnownShape(node, self, like))
        return self._tensors[-1]


_RIGHT_SHAPES: set[object] = set()
"""Code that gives a weight and a bias of the right shapes, with the shapes of what it is given."""


def check_shapes(source: fx.GraphModule, conv: nn.Conv2d) -> None:
    """Raise `ValueError` unless ``source`` gives a weight and a bias of the shapes that ``conv`` needs."""
    named = (*source.named_parameters(), *source.named_buffers())
    expected = (conv.out_channels, conv.in_channels // conv.groups, *conv.kernel_size)
    key = (source.code, expected, *((name, tensor.shape) for name, tensor in named))
    if key in _RIGHT_SHAPES and not any(True for _ in source.children()):
        return
    tensors = {name: torch.empty_like(tensor, device="meta") for name, tensor in named}
    try:
        with torch.no_grad(), redirect_stderr(StringIO()):  # where a graph that fails prints its code
            weight, bias = functional_call(source, tensors, ())
    except Exception as error:  # whatever another's code raises when it is given no values
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"cannot compute the weight of {type(conv).__name__}: {reason}") from error
    if tuple(weight.shape) != expected or (bias is not None and tuple(bias.shape) != expected[:1]):
        raise ValueError(f"{type(conv).__name__} computes a weight {tuple(weight.shape)}, expected {expected}")
    _RIGHT_SHAPES.add(key)
