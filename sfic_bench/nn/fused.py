"""The stages in fewer and cheaper convolutions, with the same results.

Write the four weights of Stage 2 as one block weight W = [[ss, fs], [sf, ff]], rows for outputs and
columns for inputs, S before F. Then, up to the order of additions:

1. Where F is as large as S (β = 1), the pair is one tensor [S; F] and Stage 2 *is* the dense
   convolution with W (`Dense`); so are Stage 3, with [[ss, fs]], and a depthwise Stage 2.
2. Otherwise nearest-neighbour reduction by an integer factor r keeps every r-th pixel, so that the
   convolution from S to F takes a stride of r.
3. A 1×1 convolution and a resize commute: reduce first.
4. In inference a BatchNorm scales the rows of W and adds a bias; a constant passes a resize unchanged.

State dicts have the names of the unfused stages, in both directions.
"""

import copy
import operator
from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sfic_bench.nn.mcs import MCSConv
from sfic_bench.nn.naming import Piece, name_as_unfused
from sfic_bench.nn.per_branch import PerBranch, pooled
from sfic_bench.nn.recompute import Derived
from sfic_bench.nn.split import Pair, resize, scaled_size, size_of
from sfic_bench.nn.stages import ConvOptions, Stage1, Stage2, Stage3, StageBase


class Dense(nn.Conv2d):
    """Stage 2 or 3 on a joined tensor ``[B, c_s + c_f, H, W]``: one convolution with the block weight."""

    def __init__(self, stage: Stage2 | Stage3) -> None:
        weight, bias, groups = block(stage)
        super().__init__(
            weight.shape[1] * groups,
            weight.shape[0],
            stage.geometry.kernel,
            padding=stage.geometry.own_padding,
            dilation=stage.geometry.dilation,
            groups=groups,
            device="meta",
            bias=bias is not None,
        )
        self.weight = nn.Parameter(weight, requires_grad=_trained(stage))
        if bias is not None:
            self.bias = nn.Parameter(bias, requires_grad=_trained(stage))
        pool, self.geometry = stage.pool, stage.geometry
        self.pool = copy.deepcopy(pool.spatial) if isinstance(pool, PerBranch) else None
        name_as_unfused(self, _pieces(stage))

    def forward(self, x: Tensor) -> Tensor:
        derived = Derived.of(x)
        if self.pool is not None:
            derived = derived.then(self.pool).then(partial(self.geometry.fitted, size=size_of(x)))
        return derived.into(super().forward)


class ReducedStage2(Stage2):
    """Stage 2 on a pair whose F is smaller than S: of what is reduced, only what is kept is computed.

    The four convolutions stay four. Joining those that read the same branch saves no time, and takes
    memory: parts of their results have to be copied before they can be enlarged or added.
    """

    def __init__(self, stage: Stage2) -> None:
        StageBase.__init__(self, stage.geometry.kernel, _options(stage))
        self.depthwise = stage.depthwise
        for name, part in stage.named_children():
            setattr(self, name, copy.deepcopy(part))
        for name in ("pool", "ss", "sf", "fs", "ff"):
            if getattr(stage, name) is None:
                setattr(self, name, None)

    def forward(self, pair: Pair, residual: Pair | None = None) -> Pair:
        """Stage 2 of ``pair``, plus ``residual`` where there is one: a sum behind the stage that is part of its own."""
        s, f = self._derived(pair.spatial), self._derived(pair.frequency)
        s_size, f_size = self.geometry.after(s.value), self.geometry.after(f.value)
        if residual is None:
            to_s, to_f = None, None
        elif (size_of(residual.spatial), size_of(residual.frequency)) == (s_size, f_size):
            to_s, to_f = residual.spatial, residual.frequency
        else:  # the sum resizes one of the two
            return cast(Pair, PerBranch(operator.add)(self.forward(pair), residual))
        return Pair(
            self._sum_in_place(s_size, to_s, (self.fs, f), (self.ss, s)),
            self._sum_in_place(f_size, to_f, (self.sf, s), (self.ff, f)),
        )

    def _derived(self, x: Tensor) -> Derived:
        derived = Derived.of(x)
        if self.pool is not None:
            derived = derived.then(partial(pooled, cast(nn.Module, self.pool.spatial)))
        return derived.then(partial(self.geometry.fitted, size=size_of(x)))

    def _sum_in_place(
        self, size: tuple[int, int], residual: Tensor | None, *terms: tuple[nn.Conv2d | None, Derived]
    ) -> Tensor:
        """As `_sum`, with less in memory at once: what is resized comes first, and the sum is in place.

        The residual comes second and the branch's own convolution last, since a compiler adds a convolution
        to what there is, and applies the activation behind the sum, in the convolution's own pass over memory.
        """
        found = [
            reduced(conv, x, self.geometry.after(x.value), size) for conv, x in terms if conv is not None
        ]
        if not found:
            return terms[0][1].value.new_empty(len(terms[0][1].value), 0, *size)
        if residual is not None:
            found.insert(1, residual)
        for term in found[1:]:
            found[0] += term
        return found[0]


class ReducedStage1(StageBase):
    """Stage 1 that computes F only where the resize keeps it, and joins the pair where it is asked to.

    Args:
        stage: what this stands for; not changed.
        joined: give ``[S; F]`` as one tensor (β = 1) instead of a pair.
    """

    def __init__(self, stage: Stage1, joined: bool) -> None:
        super().__init__(stage.geometry.kernel, _options(stage))
        self.beta, self.joined = stage.beta, joined
        self.pool = copy.deepcopy(stage.pool)
        self.mcs: nn.Module | None = copy.deepcopy(stage.mcs)
        self.spatial, self.frequency = copy.deepcopy(stage.spatial), copy.deepcopy(stage.frequency)

    def fold(self, norm: PerBranch) -> None:
        """Take up the BatchNorms of both outputs, for inference."""
        for conv, part in ((self.spatial, norm.spatial), (self.frequency, norm.frequency)):
            if conv is not None:
                conv.weight, conv.bias = fold(conv.weight, conv.bias, cast(nn.BatchNorm2d, part))

    def fix_filter(self) -> None:
        """Keep the constrained kernels of MCSConv instead of computing them at each call, for inference."""
        if isinstance(self.mcs, MCSConv):
            self.mcs = self.mcs.as_convolution()

    def forward(self, x: Tensor) -> Pair | Tensor:
        shrunk = self._shrunk(x)
        size = self.geometry.after(shrunk)
        if self.joined and self.frequency is None:
            assert self.spatial is not None
            return cast(Tensor, self.spatial(shrunk))
        spatial = self._sum(shrunk, size, (self.spatial, shrunk))
        frequency = self._frequency(x, size, scaled_size(size, self.beta))
        return torch.cat((spatial, frequency), 1) if self.joined else Pair(spatial, frequency)

    def _frequency(self, x: Tensor, size: tuple[int, int], scaled: tuple[int, int]) -> Tensor:
        if self.frequency is None:
            return x.new_empty(x.shape[0], 0, *scaled)
        assert self.mcs is not None
        ratio = _integer_ratio(size, scaled)
        if (
            self.pool is None
            and ratio is not None
            and _pointwise(self.frequency)
            and isinstance(self.mcs, MCSConv | nn.Conv2d)
        ):
            kernel = self.mcs.kernel() if isinstance(self.mcs, MCSConv) else self.mcs.weight
            filtered = F.conv2d(x, kernel, None, ratio, kernel.shape[-1] // 2, groups=x.shape[1])
            return cast(Tensor, self.frequency(filtered))
        return reduced(self.frequency, Derived.of(self._shrunk(self.mcs(x))), size, scaled)

    def _shrunk(self, x: Tensor) -> Tensor:
        return self.geometry.fitted(x if self.pool is None else self.pool(x), size_of(x))


def reduced(conv: nn.Conv2d, x: Derived, size: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """``resize(conv(x), target)`` for a stride-1 ``conv`` whose result has ``size``, for less where that can be."""
    ratio = _integer_ratio(size, target)
    if ratio is not None and ratio != (1, 1) and _pointwise(conv) and x.value.device.type == "cpu":
        # oneDNN's strided 1×1 convolutions read whole rows; what they need is a copy that costs less.
        return x.then(partial(_every, ratio=ratio)).into(conv)
    if ratio is not None:
        stride = conv.stride if ratio == (1, 1) else ratio
        return x.into(
            lambda t: F.conv2d(t, conv.weight, conv.bias, stride, conv.padding, conv.dilation, conv.groups)
        )
    # Towards a larger size, resizing first would be the dearer way round.
    if _pointwise(conv) and target[0] * target[1] < size[0] * size[1]:
        return x.then(partial(resize, size=target)).into(conv)
    return resize(x.into(conv), target)


def _every(x: Tensor, ratio: tuple[int, int]) -> Tensor:
    """Every r-th row and column of ``x``, as a tensor of its own that lies channels last, as oneDNN reads it fastest."""
    return x[..., :: ratio[0], :: ratio[1]].contiguous(memory_format=torch.channels_last)


def _pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.padding == (0, 0)


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
    joined = copy.deepcopy(first)
    joined.num_features = sum(part.num_features for part in parts.values())
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


def _options(stage: StageBase) -> ConvOptions:
    g = stage.geometry
    return ConvOptions(stride=g.stride, padding=g.padding, dilation=g.dilation)


def _rows(stage: Stage2 | Stage3) -> list[list[nn.Conv2d | None]]:
    if isinstance(stage, Stage3):
        return [[stage.ss, stage.fs]]
    return [[stage.ss, stage.fs], [stage.sf, stage.ff]]


def _names(stage: Stage2 | Stage3) -> list[list[str]]:
    return [["ss", "fs"]] if isinstance(stage, Stage3) else [["ss", "fs"], ["sf", "ff"]]


def _trained(stage: Stage2 | Stage3) -> bool:
    return any(p.requires_grad for p in stage.parameters())


def _pieces(stage: Stage2 | Stage3) -> dict[str, Piece]:
    """Where each convolution of ``stage`` lies in the block weight and its bias."""
    pieces: dict[str, Piece] = {}
    row_start = 0
    depthwise = isinstance(stage, Stage2) and stage.depthwise
    for convs, names in zip(_rows(stage), _names(stage), strict=True):
        column_start, height = 0, 0
        for conv, name in zip(convs, names, strict=True):
            if conv is None:
                continue
            height, width = conv.weight.shape[:2]
            rows = slice(row_start, row_start + height)
            start = 0 if depthwise else column_start
            pieces[f"{name}.weight"] = ("weight", (rows, slice(start, start + width)))
            if conv.bias is not None:
                pieces[f"{name}.bias"] = ("bias", (rows,))
            column_start += width
        row_start += height
    return pieces


def _integer_ratio(size: tuple[int, int], reduced: tuple[int, int]) -> tuple[int, int] | None:
    """The strides that reduce ``size`` to ``reduced``; ``None`` where they are no integers."""
    (height, width), (low_height, low_width) = size, reduced
    if height % low_height or width % low_width:
        return None
    return height // low_height, width // low_width
