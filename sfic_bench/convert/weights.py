"""Vanilla weights in SFIC layers: picked rows and columns of one tensor. On the meta device nothing is copied.

The four blocks of a Stage 2 tile the vanilla weight as [[ss, fs], [sf, ff]], rows and columns in the
order of the pairs' `Layout`s.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from sfic_bench.convert.conv_code import adds_its_bias, as_plain
from sfic_bench.convert.layout import Layout
from sfic_bench.initialisation import meta_tensor
from sfic_bench.modules import recast
from sfic_bench.nn.stages import StageBase

Channels = Sequence[int] | None
"""Rows or columns of a vanilla weight; ``None`` for all."""


Fill = Callable[[nn.Conv2d, nn.Conv2d, Channels, Channels], None]
"""Gives a convolution of a stage its rows and columns of a vanilla one, as `fill_conv` does."""


def fill_stage(vanilla: nn.Conv2d, stage: StageBase, inputs: Layout | None, outputs: Layout | None, fill: Fill) -> None:
    """Fill every convolution of ``stage`` from ``vanilla``; MCSConv has no vanilla counterpart."""
    rows: Sequence[Channels] = (None,) if outputs is None else outputs
    columns: Sequence[Channels] = (None,) if inputs is None else inputs
    for row, names in zip(rows, stage.blocks, strict=True):
        for column, name in zip(columns, names, strict=True):
            conv: nn.Conv2d | None = getattr(stage, name)
            if conv is not None:
                fill(conv, vanilla, row, column if vanilla.in_channels > vanilla.groups else None)


def as_convolution(linear: nn.Linear) -> nn.Conv2d:
    """The 1×1 convolution that a linear layer on the channels of a map is; it shares the layer's weights."""
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=False, device="meta")
    conv.weight = nn.Parameter(linear.weight.detach()[..., None, None], requires_grad=linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv


def fill_conv(target: nn.Conv2d, vanilla: nn.Conv2d, rows: Channels, columns: Channels) -> None:
    """Fill ``target`` with ``rows`` and ``columns`` of the vanilla weight, and with ``rows`` of its bias."""
    weight, bias, source = target.weight, target.bias, vanilla.weight
    if vanilla.groups > 1 and columns is None and weight.shape[1] != source.shape[1]:
        assert rows is not None
        if not weight.is_meta:
            weight.detach().copy_(_regrouped(vanilla, target, rows[0] if rows else 0))
        weight.requires_grad_(source.requires_grad)
    else:
        _fill(weight, source, rows, columns)
    if bias is not None and vanilla.bias is not None:
        _fill(bias, vanilla.bias, rows)


def redundant_biases(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Biases of convolutions that only a BatchNorm reads, by the name of the convolution and by that of the norm."""
    biases: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.op != "call_module" or len(node.users) != 1:
            continue
        conv, user = modules[str(node.target)], next(iter(node.users))
        norm = modules[str(user.target)] if user.op == "call_module" else None
        if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm) and adds_its_bias(conv):
            assert conv.bias is not None
            biases[str(node.target)] = biases[str(user.target)] = conv.bias
    return biases


def without_bias(module: nn.Module, bias: Tensor | None) -> nn.Module:
    """A copy of ``module``: a convolution without its bias, or the BatchNorm behind it, which makes up for it."""
    if isinstance(module, nn.Conv2d) and "weight" in vars(module):  # a hook's result, of which torch makes no copy
        return as_plain(module, bias=bias is None) or copied(module)
    new = copied(module)
    if bias is not None and isinstance(new, nn.Conv2d):
        new.bias = None
    elif bias is not None and isinstance(new, _BatchNorm):
        mean = new.running_mean
        if mean is not None and not mean.is_meta:  # there, torch would import sympy to subtract nothing
            mean -= bias.detach()
    return new


def copied(module: nn.Module) -> nn.Module:
    """A copy of ``module``, in which a hook's last weight has no gradient, since torch copies no result."""
    results = [t for m in module.modules() for t in vars(m).values() if isinstance(t, Tensor) and t.grad_fn]
    return copy.deepcopy(module, {id(t): t.detach() for t in results})


def dealt_norm(norm: _NormBase, channels: Sequence[int], shift: Tensor | None) -> nn.Module:
    """A copy of ``norm``, which takes every channel by itself, for ``channels``.

    A running mean takes up the bias ``shift``.

    Raises:
        ValueError: for a norm whose tensors are not one number a channel.
    """
    if not channels:
        return nn.Identity()
    count = norm.num_features
    tensors: dict[str, Tensor | None] = {}
    for name, source in (*norm._parameters.items(), *norm._buffers.items()):
        if source is not None and source.dim():
            if source.shape != (count,):
                raise ValueError(f"{type(norm).__name__}.{name} has shape {tuple(source.shape)}, expected ({count},)")
            tensors[name] = values_of(channels, source)
    dealt = recast(norm, tensors, num_features=len(channels))
    if shift is not None and dealt.running_mean is not None and not dealt.running_mean.is_meta:
        dealt.running_mean -= values_of(channels, shift)
    return dealt


def _fill(target: Tensor, source: Tensor, rows: Channels, columns: Channels = None) -> None:
    """``target`` becomes rows and columns of ``source``, and is trained if ``source`` is."""
    if not target.is_meta:
        part = source.detach() if rows is None else _picked(source.detach(), rows, 0)
        target.detach().copy_(part if columns is None else _picked(part, columns, 1))
    if target.requires_grad != source.requires_grad:
        target.requires_grad_(source.requires_grad)


def values_of(channels: Sequence[int], source: Tensor) -> Tensor:
    """A copy of the values that ``channels`` have in ``source``, which has one number a channel."""
    if source.is_meta:
        return meta_tensor((len(channels),), source.dtype)
    return _picked(source.detach(), channels, 0).clone()


def _picked(x: Tensor, channels: Sequence[int], dim: int) -> Tensor:
    """``channels`` of ``x`` along ``dim``; a view where they follow one another."""
    start = channels[0] if channels else 0
    if list(channels) == list(range(start, start + len(channels))):
        return x.narrow(dim, start, len(channels))
    return x.index_select(dim, torch.tensor(channels, device=x.device))


def _regrouped(vanilla: nn.Conv2d, conv: nn.Conv2d, first: int) -> Tensor:
    """A grouped convolution's filters for a Stage 1 whose groups read other input channels.

    ``first`` is the vanilla output that ``conv`` begins with. A filter goes to its own input channels
    where the new group has them all. Where it does not (a Stage 1 that splits a depthwise
    convolution), nothing can be carried over exactly, and the filter is spread evenly over the
    channels that the group does read.
    """
    weight = vanilla.weight.detach()
    old_window, new_window = weight.shape[1], conv.weight.shape[1]
    block = weight.new_zeros(conv.weight.shape)
    for j in range(conv.out_channels):
        filters = weight[first + j]
        old = (first + j) // (vanilla.out_channels // vanilla.groups) * old_window
        new = j // (conv.out_channels // conv.groups) * new_window
        offset = old - new
        if offset >= 0 and offset + old_window <= new_window:
            block[j, offset : offset + old_window] = filters
        else:
            block[j] = filters.sum(0, keepdim=True) / new_window
    return block
