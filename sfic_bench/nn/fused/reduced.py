"""Stages 1 and 2 whose F is smaller than S, and which compute no more than their resizes keep."""

import copy
import operator
from functools import partial
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfic_bench.nn.mcs import MCSConv
from sfic_bench.nn.per_branch import PerBranch, pooled
from sfic_bench.nn.recompute import Derived
from sfic_bench.nn.split import Pair, Size, resize, scaled_size, size_of
from sfic_bench.nn.stages import ConvOptions, Stage1, Stage2, StageBase


class ReducedStage2(Stage2):
    """Stage 2 on a pair whose F is smaller than S, which computes only the pixels that its resizes keep.

    The four convolutions stay four. Joining the two that read the same branch saves no time and takes
    memory: parts of a joint result have to be copied before they can be enlarged or added.

    They are copies of those of ``stage``, or with ``share`` those themselves.
    """

    def __init__(self, stage: Stage2, share: bool = False) -> None:
        StageBase.__init__(self, stage.geometry.kernel, _options(stage))
        self.depthwise = stage.depthwise
        for name in ("ss", "ff", "sf", "fs"):
            setattr(self, name, _own(getattr(stage, name), share))

    def forward(self, pair: Pair, residual: Pair | None = None) -> Pair:
        """Stage 2 of ``pair``, plus ``residual`` where a sum behind the stage has become part of it."""
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
        self, size: Size, residual: Tensor | None, *convolutions: tuple[nn.Conv2d | None, Derived]
    ) -> Tensor:
        """The same sum as `StageBase._sum`, with less in memory at once.

        What is resized comes first, and the other terms are added in place. The residual comes second and the
        branch's own convolution last: a compiler can add a convolution to an existing tensor, and apply the
        activation behind the sum, in the convolution's own pass over memory.
        """
        terms = [reduced(conv, x, self.geometry.after(x.value), size) for conv, x in convolutions if conv is not None]
        if not terms:
            x = convolutions[0][1].value
            return x.new_empty(len(x), 0, *size)
        if residual is not None:
            terms.insert(1, residual)
        for term in terms[1:]:
            terms[0] += term
        return terms[0]


class ReducedStage1(StageBase):
    """Stage 1 that computes F only where the resize keeps it.

    With ``joined`` it gives the pair as one tensor ``[S; F]``, which needs β = 1. Its parts are copies of those of
    ``stage``, or with ``share`` those themselves.
    """

    reads_pair = False

    def __init__(self, stage: Stage1, joined: bool, share: bool = False) -> None:
        super().__init__(stage.geometry.kernel, _options(stage))
        self.beta, self.joined = stage.beta, joined
        self.mcs: nn.Module | None = _own(stage.mcs, share)
        self.spatial, self.frequency = _own(stage.spatial, share), _own(stage.frequency, share)

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

    def _frequency(self, x: Tensor, size: Size, scaled: Size) -> Tensor:
        if self.frequency is None:
            return x.new_empty(x.shape[0], 0, *scaled)
        assert self.mcs is not None
        ratio = _integer_ratio(size, scaled)
        has_kernel = isinstance(self.mcs, MCSConv | nn.Conv2d)
        if self.pool is None and ratio is not None and _is_pointwise(self.frequency) and has_kernel:
            kernel = self.mcs.kernel() if isinstance(self.mcs, MCSConv) else cast(Tensor, self.mcs.weight)
            filtered = F.conv2d(x, kernel, None, ratio, kernel.shape[-1] // 2, groups=x.shape[1])
            return cast(Tensor, self.frequency(filtered))
        filtered = self.geometry.fitted(self.mcs(self._pooled(x)), size_of(x))
        return reduced(self.frequency, Derived.of(filtered), size, scaled)


def reduced(conv: nn.Conv2d, x: Derived, size: Size, target: Size) -> Tensor:
    """``resize(conv(x), target)``, computed for less where possible; ``conv`` has a stride of 1 and gives ``size``."""
    ratio = _integer_ratio(size, target)
    runs_here = x.value.device.type == "cpu" and not torch.compiler.is_exporting()
    if ratio is not None and ratio != (1, 1) and _is_pointwise(conv) and runs_here:
        # oneDNN's strided 1×1 convolutions read whole rows; copying the pixels that they need costs less. In an
        # exported file one strided convolution costs other runtimes less than a copy, which has another layout.
        return x.then(partial(_strided, ratio=ratio)).into(conv)
    if ratio is not None:
        stride = conv.stride if ratio == (1, 1) else ratio
        return x.into(lambda t: F.conv2d(t, conv.weight, conv.bias, stride, conv.padding, conv.dilation, conv.groups))
    # Towards a larger size, resizing first would make the convolution dearer.
    if _is_pointwise(conv) and target[0] * target[1] < size[0] * size[1]:
        return x.then(partial(resize, size=target)).into(conv)
    return resize(x.into(conv), target)


Part = TypeVar("Part", bound=nn.Module | None)


def _own(part: Part, share: bool) -> Part:
    return part if share else copy.deepcopy(part)


def _strided(x: Tensor, ratio: Size) -> Tensor:
    """Every r-th row and column of ``x``, copied to channels last, the layout that oneDNN reads fastest."""
    return x[..., :: ratio[0], :: ratio[1]].contiguous(memory_format=torch.channels_last)


def _is_pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.padding == (0, 0)


def _options(stage: StageBase) -> ConvOptions:
    geometry = stage.geometry
    return ConvOptions(
        stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation, rounds_down=geometry.rounds_down
    )


def _integer_ratio(size: Size, smaller: Size) -> tuple[int, int] | None:
    """The strides that reduce ``size`` to ``smaller``; ``None`` where they are no integers."""
    (height, width), (low_height, low_width) = size, smaller
    if height % low_height or width % low_width:
        return None
    return height // low_height, width // low_width
