"""The stages in fewer and cheaper convolutions, with the same results.

Write the four weights of Stage 2 as one block weight W = [[ss, fs], [sf, ff]], rows for outputs and
columns for inputs, S before F. Then, up to the order of additions:

1. Where F is as large as S (β = 1), the pair is one tensor [S; F] and Stage 2 *is* the dense
   convolution with W (`Dense`); so are Stage 3, with [[ss, fs]], and a depthwise Stage 2.
2. Otherwise each input is convolved once, S with the first columns of W and F with the rest.
3. Nearest-neighbour reduction by an integer factor r keeps every r-th pixel, so that part of the
   convolution of S which goes to F takes a stride of r.
4. A 1×1 convolution and a resize commute: reduce first.
5. In inference a BatchNorm scales the rows of W and adds a bias; a constant passes a resize unchanged.

State dicts have the names of the unfused stages, in both directions.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sfic_bench.nn.mcs import MCSConv
from sfic_bench.nn.naming import Piece, name_as_unfused
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.split import Pair, Split, resize, scaled_size, size_of
from sfic_bench.nn.stages import ConvOptions, Stage1, Stage2, Stage3, StageBase


class Dense(nn.Conv2d):
    """Stage 2 or 3 on a joined tensor ``[B, c_s + c_f, H, W]``: one convolution with the block weight."""

    def __init__(self, stage: Stage2 | Stage3) -> None:
        weight, bias, groups = block(stage)
        super().__init__(
            weight.shape[1] * groups,
            weight.shape[0],
            stage.kernel_size,
            padding=stage.padding,
            dilation=stage.dilation,
            groups=groups,
            device="meta",
            bias=bias is not None,
        )
        self.weight = nn.Parameter(weight, requires_grad=_trained(stage))
        if bias is not None:
            self.bias = nn.Parameter(bias, requires_grad=_trained(stage))
        pool = stage.pool
        self.pool = copy.deepcopy(pool.spatial) if isinstance(pool, PerBranch) else None
        name_as_unfused(self, _pieces(stage, {None: "weight"}, "bias"))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.pool is None else self.pool(x))


class TwoConvolutions(StageBase):
    """Stage 2 on a pair whose F is smaller than S: one convolution of S and one of F.

    Attributes:
        on_spatial: first columns of the block weight, ``[c_s' + c_f', c_s, k, k]``.
        on_frequency: the other columns, ``[c_s' + c_f', c_f, k, k]``.
        bias: of both outputs, ``[c_s' + c_f']``, or ``None``.
    """

    bias: nn.Parameter | None

    def __init__(self, stage: Stage2) -> None:
        super().__init__(stage.kernel_size, _geometry(stage))
        weight, bias, _ = block(stage)
        inputs, self.outputs = _splits(stage)
        trained = _trained(stage)
        s = inputs.spatial
        self.on_spatial = nn.Parameter(weight[:, :s].contiguous(), requires_grad=trained)
        self.on_frequency = nn.Parameter(weight[:, s:].contiguous(), requires_grad=trained)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=trained)
        self.pool = copy.deepcopy(stage.pool)
        self.pointwise = stage.kernel_size == (1, 1) and stage.padding == (0, 0)
        name_as_unfused(self, _pieces(stage, {0: "on_spatial", 1: "on_frequency"}, "bias"))

    def fold(self, norm: PerBranch) -> None:
        """Take up the BatchNorms of both outputs, for inference."""
        joined = join_norms(norm)
        self.on_spatial, self.bias = fold(self.on_spatial, self.bias, joined)
        self.on_frequency, _ = fold(self.on_frequency, None, joined)

    def forward(self, pair: Pair) -> Pair:
        s, f = pair if self.pool is None else self.pool(pair)
        s_size, f_size = self.size_after(s), self.size_after(f)
        n = self.outputs.spatial
        ratio = _integer_ratio(size_of(s), size_of(f))
        low = self._convolve(f, self.on_frequency, None)
        if self.pointwise or ratio is not None:
            to_s, to_f = (None, None) if self.bias is None else (self.bias[:n], self.bias[n:])
            spatial = self._convolve(s, self.on_spatial[:n], to_s)
            if self.pointwise:
                frequency = self._convolve(resize(s, f_size), self.on_spatial[n:], to_f)
            else:
                assert ratio is not None
                frequency = self._convolve(s, self.on_spatial[n:], to_f, ratio)
        else:
            high = self._convolve(s, self.on_spatial, self.bias)
            spatial, frequency = high[:, :n], resize(high[:, n:], f_size)
        return Pair(spatial + resize(low[:, :n], s_size), low[:, n:] + frequency)

    def _convolve(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int] = (1, 1)
    ) -> Tensor:
        return F.conv2d(x, weight, bias, stride, self.padding, self.dilation)


class ReducedStage1(StageBase):
    """Stage 1 that computes F only where the resize keeps it, and joins the pair where it is asked to.

    Args:
        stage: what this stands for; not changed.
        joined: give ``[S; F]`` as one tensor (β = 1) instead of a pair.
    """

    def __init__(self, stage: Stage1, joined: bool) -> None:
        super().__init__(stage.kernel_size, _geometry(stage))
        self.beta, self.joined = stage.beta, joined
        self.pool, self.mcs = copy.deepcopy(stage.pool), copy.deepcopy(stage.mcs)
        self.spatial, self.frequency = copy.deepcopy(stage.spatial), copy.deepcopy(stage.frequency)

    def fold(self, norm: PerBranch) -> None:
        """Take up the BatchNorms of both outputs, for inference."""
        for conv, part in ((self.spatial, norm.spatial), (self.frequency, norm.frequency)):
            if conv is not None:
                conv.weight, conv.bias = fold(conv.weight, conv.bias, cast(nn.BatchNorm2d, part))

    def forward(self, x: Tensor) -> Pair | Tensor:
        pooled = x if self.pool is None else self.pool(x)
        size = self.size_after(pooled)
        if self.joined and self.frequency is None:
            assert self.spatial is not None
            return cast(Tensor, self.spatial(pooled))
        spatial = self._sum(pooled, size, (self.spatial, pooled))
        frequency = self._frequency(x, size, scaled_size(size, self.beta))
        return torch.cat((spatial, frequency), 1) if self.joined else Pair(spatial, frequency)

    def _frequency(self, x: Tensor, size: tuple[int, int], scaled: tuple[int, int]) -> Tensor:
        conv = self.frequency
        if conv is None:
            return x.new_empty(x.shape[0], 0, *scaled)
        assert self.mcs is not None
        ratio = _integer_ratio(size, scaled)
        pointwise = conv.kernel_size == (1, 1) and conv.padding == (0, 0)
        if pointwise and self.pool is None and ratio is not None and isinstance(self.mcs, MCSConv):
            kernel = self.mcs.kernel()
            filtered = F.conv2d(x, kernel, None, ratio, kernel.shape[-1] // 2, groups=x.shape[1])
            return cast(Tensor, conv(filtered))
        filtered = self.mcs(x)
        if self.pool is not None:
            filtered = self.pool(filtered)
        if pointwise:
            return cast(Tensor, conv(resize(filtered, scaled)))
        if ratio is not None:
            return F.conv2d(filtered, conv.weight, conv.bias, ratio, conv.padding, conv.dilation, conv.groups)
        return resize(conv(filtered), scaled)


def block(stage: Stage2 | Stage3) -> tuple[Tensor, Tensor | None, int]:
    """The block weight ``[out, in/groups, k, k]`` of a stage, its bias ``[out]``, and its groups."""
    rows = _rows(stage)
    with torch.no_grad():
        if isinstance(stage, Stage2) and stage.depthwise:
            convs = [c for row in rows for c in row if c is not None]
            weight = _cat([c.weight for c in convs])
            groups = sum(c.in_channels for c in convs)
        else:
            weight = _cat([_cat([c.weight for c in row if c is not None], 1) for row in rows if any(row)])
            groups = 1
        biases = [c.bias for row in rows for c in row if c is not None and c.bias is not None]
        return weight.detach(), _cat(biases).detach() if biases else None, groups


def fold(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[nn.Parameter, nn.Parameter]:
    """A convolution's weight and bias with the BatchNorm behind it (its running statistics) folded in."""
    assert norm.running_mean is not None and norm.running_var is not None
    return fuse_conv_bn_weights(
        weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def join_norms(norm: PerBranch) -> nn.BatchNorm2d:
    """One BatchNorm for [S; F] from a `PerBranch` of two; state-dict names stay those of the two."""
    parts = {
        name: part
        for name in ("spatial", "frequency")
        if isinstance(part := getattr(norm, name), nn.BatchNorm2d)
    }
    first = next(iter(parts.values()))
    joined = nn.BatchNorm2d(
        sum(part.num_features for part in parts.values()),
        eps=first.eps,
        momentum=first.momentum,
        affine=first.affine,
        track_running_stats=first.track_running_stats,
        device="meta",
    )
    pieces: dict[str, Piece] = {}
    for tensor_name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        tensors = {name: getattr(part, tensor_name) for name, part in parts.items()}
        if any(t is None for t in tensors.values()):
            continue
        start = 0
        for name, t in tensors.items():
            length = t.numel() if t.dim() else 0
            pieces[f"{name}.{tensor_name}"] = (
                tensor_name,
                (slice(start, start + length),) if t.dim() else (),
            )
            start += length
        source = next(iter(tensors.values()))
        value = _cat([t.detach() for t in tensors.values()]) if source.dim() else source.clone()
        if isinstance(source, nn.Parameter):
            setattr(joined, tensor_name, nn.Parameter(value, requires_grad=source.requires_grad))
        else:
            setattr(joined, tensor_name, value)
    joined.train(first.training)
    name_as_unfused(joined, pieces)
    return joined


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`torch.cat`; on the meta device without its kernel, which takes longer than all the rest of fusing."""
    if not tensors[0].is_meta:
        return torch.cat(list(tensors), dim)
    shape = list(tensors[0].shape)
    shape[dim] = sum(t.shape[dim] for t in tensors)
    return tensors[0].new_empty(shape)


def _geometry(stage: StageBase) -> ConvOptions:
    return ConvOptions(stride=stage.stride, padding=stage.padding, dilation=stage.dilation)


def _rows(stage: Stage2 | Stage3) -> list[list[nn.Conv2d | None]]:
    if isinstance(stage, Stage3):
        return [[stage.ss, stage.fs]]
    return [[stage.ss, stage.fs], [stage.sf, stage.ff]]


def _names(stage: Stage2 | Stage3) -> list[list[str]]:
    return [["ss", "fs"]] if isinstance(stage, Stage3) else [["ss", "fs"], ["sf", "ff"]]


def _splits(stage: Stage2) -> tuple[Split, Split]:
    """Channels of a Stage 2's inputs and outputs, read off its convolutions."""

    def channels(convs: tuple[nn.Conv2d | None, ...], attribute: str) -> int:
        return next((int(getattr(c, attribute)) for c in convs if c is not None), 0)

    inputs = Split(
        channels((stage.ss, stage.sf), "in_channels"), channels((stage.fs, stage.ff), "in_channels")
    )
    outputs = Split(
        channels((stage.ss, stage.fs), "out_channels"), channels((stage.sf, stage.ff), "out_channels")
    )
    return inputs, outputs


def _trained(stage: Stage2 | Stage3) -> bool:
    return any(p.requires_grad for p in stage.parameters())


def _pieces(stage: Stage2 | Stage3, weights: Mapping[int | None, str], bias: str) -> dict[str, Piece]:
    """Where each convolution of ``stage`` lies in the block weight, whole or held by columns."""
    pieces: dict[str, Piece] = {}
    row_start = 0
    by_columns = None not in weights
    depthwise = isinstance(stage, Stage2) and stage.depthwise
    for convs, names in zip(_rows(stage), _names(stage), strict=True):
        column_start, height = 0, 0
        for column, (conv, name) in enumerate(zip(convs, names, strict=True)):
            if conv is None:
                continue
            height, width = conv.weight.shape[:2]
            rows = slice(row_start, row_start + height)
            columns = (
                slice(0, width) if by_columns or depthwise else slice(column_start, column_start + width)
            )
            pieces[f"{name}.weight"] = (weights[column if by_columns else None], (rows, columns))
            if conv.bias is not None:
                pieces[f"{name}.bias"] = (bias, (rows,))
            column_start += width
        row_start += height
    return pieces


def _integer_ratio(size: tuple[int, int], reduced: tuple[int, int]) -> tuple[int, int] | None:
    """The strides that reduce ``size`` to ``reduced``; ``None`` where they are no integers."""
    (height, width), (low_height, low_width) = size, reduced
    if height % low_height or width % low_width:
        return None
    return height // low_height, width // low_width
