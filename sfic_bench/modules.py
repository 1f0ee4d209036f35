"""Modules copied, listed and put into evaluation mode, in less time than torch takes."""

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from sfic_bench.initialisation import meta_tensor

Layer = TypeVar("Layer", bound=nn.Module)
Kind = TypeVar("Kind", bound=Tensor)


def modules_by_name(module: nn.Module) -> dict[str, nn.Module]:
    """What ``dict(module.named_modules())`` gives."""
    found: dict[str, nn.Module] = {}
    seen: set[nn.Module] = set()
    waiting = [("", module)]
    while waiting:
        path, module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        found[path] = module
        if module._modules:
            prefix = f"{path}." if path else ""
            children = [(prefix + name, child) for name, child in module._modules.items() if child is not None]
            waiting += reversed(children)
    return found


def parameters_by_name(module: nn.Module) -> dict[str, nn.Parameter]:
    """What ``dict(module.named_parameters())`` gives."""
    return _once((path, part._parameters) for path, part in modules_by_name(module).items())


def buffers_by_name(module: nn.Module) -> dict[str, Tensor]:
    """What ``dict(module.named_buffers())`` gives."""
    return _once((path, part._buffers) for path, part in modules_by_name(module).items())


def _once(tensors: Iterable[tuple[str, Mapping[str, Kind | None]]]) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    seen: set[Kind] = set()
    for path, own in tensors:
        for name, tensor in own.items():
            if tensor is not None and tensor not in seen:
                seen.add(tensor)
                found[f"{path}.{name}" if path else name] = tensor
    return found


def take_over_modes(original: nn.Module | None, module: nn.Module, training: bool = True) -> None:
    """Put ``module`` and all in it into the mode (training or evaluation) of its namesake in ``original``.

    What has no namesake there gets the mode of what holds it, and ``module`` itself, without an ``original``, that of
    ``training``.
    """
    if original is not None:
        training = original.training
    if module.training != training:
        module.training = training
    for name, child in module._modules.items():
        like = None if original is None else original._modules.get(name)
        if child is not None and child is not like:
            take_over_modes(like, child, training)


def evaluate(module: nn.Module) -> None:
    """What ``module.eval()`` does, save for what a class makes of it."""
    vars(module)["training"] = False
    for child in module._modules.values():
        if child is not None:
            evaluate(child)


def on_meta(module: Layer) -> Layer:
    """``module`` itself if it is on the meta device, else a copy there, for which no weight is copied.

    A tensor that has several names has them in the copy, too, which ``Module.to`` does not see to.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if all(tensor.is_meta for tensor in tensors):
        return module
    moved = {
        id(t): nn.Parameter(t.to("meta"), t.requires_grad) if isinstance(t, nn.Parameter) else t.to("meta")
        for t in tensors
    }
    return copy.deepcopy(module, moved)


def recast(layer: Layer, tensors: Mapping[str, Tensor | None], **settings: object) -> Layer:
    """A copy of ``layer`` with other ``tensors`` and settings, by name, in a tenth of the time that a new layer takes.

    A tensor takes the place of a parameter, with its ``requires_grad``, or of a buffer. Those that are not named, and
    children, are copied.
    """
    new = object.__new__(type(layer))
    state = vars(new)
    state.update(vars(layer))
    for name, value in vars(layer).items():
        if isinstance(value, (dict, set)):  # a union of types takes several times as long
            state[name] = value.copy()
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
