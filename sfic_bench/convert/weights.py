"""Vanilla weights in SFIC layers: slices of one tensor, or none at all on the meta device.

Channel order is the vanilla one: S has the first channels, F the rest. So the four blocks of a
Stage 2 tile the vanilla weight as [[ss, fs], [sf, ff]].
"""

from typing import Any

import torch
from torch import Tensor, nn

from sfic_bench.nn import Split, Stage1, Stage2, Stage3


def carry(
    vanilla: nn.Conv2d, stage: Stage1 | Stage2 | Stage3, inputs: Split | None, outputs: Split | None
) -> None:
    """Fill every convolution of ``stage`` from ``vanilla``; MCSConv has no vanilla counterpart."""
    match stage:
        case Stage1():
            targets = [[stage.spatial], [stage.frequency]]
        case Stage2():
            targets = [[stage.ss, stage.fs], [stage.sf, stage.ff]]
        case Stage3():
            targets = [[stage.ss, stage.fs]]
    rows, columns = _ranges(outputs), _ranges(inputs)
    for row, convs in zip(rows, targets, strict=True):
        for column, conv in zip(columns, convs, strict=True):
            if conv is not None:
                _fill(conv.weight, vanilla.weight, _block(vanilla, conv, row, column))
                if conv.bias is not None and vanilla.bias is not None:
                    _fill(conv.bias, vanilla.bias, row)


def carry_norm(vanilla: nn.BatchNorm2d, part: nn.BatchNorm2d, channels: slice, shift: Tensor | None) -> None:
    """Fill ``part`` from some channels of ``vanilla``; ``shift`` is a bias that the mean takes up."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        source: Tensor | None = getattr(vanilla, name)
        if source is not None:
            _fill(getattr(part, name), source, channels)
    if part.num_batches_tracked is not None and vanilla.num_batches_tracked is not None:
        _fill(part.num_batches_tracked, vanilla.num_batches_tracked, ...)
    if shift is not None and part.running_mean is not None and not part.running_mean.is_meta:
        with torch.no_grad():
            part.running_mean -= shift[channels]


def _ranges(split: Split | None) -> list[slice]:
    if split is None:
        return [slice(None)]
    return [slice(0, split.spatial), slice(split.spatial, split.total)]


def _fill(target: Tensor, source: Tensor, part: Any) -> None:
    """``target`` becomes ``source[part]``, or that tensor itself, and is trained if ``source`` is."""
    if not target.is_meta:
        with torch.no_grad():
            target.copy_(part if isinstance(part, Tensor) else source[part])
    if target.requires_grad != source.requires_grad:
        target.requires_grad_(source.requires_grad)


def _block(vanilla: nn.Conv2d, conv: nn.Conv2d, row: slice, column: slice) -> Any:
    """Which part of the vanilla weight ``conv`` takes: an index, or a tensor where no index does."""
    if vanilla.groups == 1:
        return (row, column)
    if conv.groups == conv.in_channels or conv.weight.is_meta:
        return row
    return _regrouped(vanilla, conv, row.start or 0)


def _regrouped(vanilla: nn.Conv2d, conv: nn.Conv2d, first: int) -> Tensor:
    """A grouped convolution's filters for a layer whose groups read other input channels.

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
        at = old - new
        if at >= 0 and at + old_window <= new_window:
            block[j, at : at + old_window] = filters
        else:
            block[j] = filters.sum(0, keepdim=True) / new_window
    return block
