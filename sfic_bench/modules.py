"""Modules copied, listed and put into evaluation mode, in less time than torch takes."""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from sfic_bench.initialisation import meta_tensor

Layer = TypeVar("Layer", bound=nn.Module)


def named_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What ``module.named_modules()`` gives."""
    return _named_modules(module, "", set())


def _named_modules(module: nn.Module, path: str, seen: set[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    if module not in seen:
        seen.add(module)
        yield path, module
        prefix = f"{path}." if path else ""
        for name, child in module._modules.items():
            if child is not None:
                yield from _named_modules(child, prefix + name, seen)


def evaluate(module: nn.Module) -> None:
    """What ``module.eval()`` does, save for what a class makes of it."""
    vars(module)["training"] = False
    for child in module._modules.values():
        if child is not None:
            evaluate(child)


def recast(layer: Layer, tensors: Mapping[str, Tensor | None], **settings: object) -> Layer:
    """A copy of ``layer`` with other ``tensors`` and settings, by name, in a tenth of the time that a new layer takes.

    A tensor takes the place of a parameter, with its ``requires_grad``, or of a buffer. Those that are not named, and
    children, are copied.
    """
    new = object.__new__(type(layer))
    state = vars(new)
    state.update(vars(layer))
    for name in [name for name, value in state.items() if isinstance(value, dict | set)]:
        state[name] = state[name].copy()
    state.update(settings)
    if layer._modules:
        state["_modules"] = copy.deepcopy(layer._modules)
    for name, old in layer._parameters.items():
        if old is not None:
            tensor = tensors[name] if name in tensors else _copied(old)
            state["_parameters"][name] = None if tensor is None else nn.Parameter(tensor, old.requires_grad)
    for name, buffer in layer._buffers.items():
        if buffer is not None:
            state["_buffers"][name] = tensors[name] if name in tensors else _copied(buffer)
    return new


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach() if tensor.is_meta else tensor.detach().clone()


def meta_conv(
    inputs: int,
    outputs: int,
    kernel_size: tuple[int, int],
    *,
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    bias: bool,
    dtype: torch.dtype,
) -> nn.Conv2d:
    """A convolution on the meta device, in a tenth of the time that `torch.nn.Conv2d` takes."""
    like = _conv_like(kernel_size, padding, dilation, bias, dtype)
    tensors: dict[str, Tensor | None] = {"weight": meta_tensor((outputs, inputs // groups, *kernel_size), dtype)}
    if bias:
        tensors["bias"] = meta_tensor((outputs,), dtype)
    return recast(like, tensors, in_channels=inputs, out_channels=outputs, groups=groups)


@cache
def _conv_like(
    kernel: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], bias: bool, dtype: torch.dtype
) -> nn.Conv2d:
    with torch.inference_mode(False):
        return nn.Conv2d(1, 1, kernel, padding=padding, dilation=dilation, bias=bias, device="meta", dtype=dtype)
