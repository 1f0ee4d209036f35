"""Functions of pairs that need more than the same call for each branch. In a fused network they take joined tensors."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from sfic_bench.nn.adapters import Pick, size_as_in
from sfic_bench.nn.split import Pair, Size, apply_to, size_of


def padded(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`torch.nn.functional.pad` of height and width; a branch that is too small to be reflected repeats its border."""
    height, width = size_of(x)
    left, right, above, below = (*pad, 0, 0)[:4]
    if mode == "reflect" and (max(left, right) >= width or max(above, below) >= height):
        mode = "replicate"
    return F.pad(x, list(pad), mode, value)


class WithOptions(nn.Module):
    """``function(x, *args, **options)``, where ``x`` may have no channels, whatever the function takes."""

    def __init__(self, function: Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        self.function, self.options = function, options

    def forward(self, x: Tensor, *args: object) -> Tensor:
        if not x.shape[1]:
            return self.function(x.new_ones(len(x), 1, *size_of(x)), *args, **self.options)[:, :0]
        return self.function(x, *args, **self.options)


class OverPlaces(nn.Module):
    """A sum over height and width, of a pair or of the joined tensor ``[S; F]``.

    Each place of a smaller F counts as the places of S that it covers: F's sum is multiplied by the ratio of their
    numbers to the ``power``, which is 1/p for the p-norm.
    """

    def __init__(self, reduction: Callable[[Tensor], Tensor], power: float) -> None:
        super().__init__()
        self.reduction, self.power = reduction, power

    def forward(self, value: Pair | Tensor) -> Pair | Tensor:
        if isinstance(value, Tensor):
            return self.reduction(value)
        (height, width), (low, narrow) = size_of(value.spatial), size_of(value.frequency)
        scale = (height * width / (low * narrow)) ** self.power
        return Pair(self.reduction(value.spatial), self.reduction(value.frequency) * scale)


class DepthwiseConstant(nn.Module):
    """A depthwise convolution with weights ``[C, 1, k, k]`` that are given, as of a blur, of a pair or of ``[S; F]``.

    ``spatial`` and ``frequency`` are the channels of each branch.
    """

    def __init__(
        self, spatial: Sequence[int], frequency: Sequence[int], stride: Size, padding: Size, dilation: Size
    ) -> None:
        super().__init__()
        self.spatial, self.frequency = Pick(spatial), Pick(frequency)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.both = Pick([*spatial, *frequency])

    def forward(self, value: Pair | Tensor, weight: Tensor, bias: Tensor | None = None) -> Pair | Tensor:
        if isinstance(value, Tensor):
            return self._convolved(value, self.both, weight, bias)
        s, f = value
        return Pair(self._convolved(s, self.spatial, weight, bias), self._convolved(f, self.frequency, weight, bias))

    def _convolved(self, x: Tensor, channels: Pick, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not channels.length:  # one channel of any weights gives the size
            x, weight, bias = x.new_empty(len(x), 1, *size_of(x)), weight[:1], None
        else:
            weight = channels(weight.transpose(0, 1)).transpose(0, 1)
            bias = None if bias is None else channels(bias[:, None, None])[:, 0, 0]
        convolved = F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, len(weight))
        return convolved if channels.length else convolved[:, :0]


class ScaledTo(nn.Module):
    """``scale(x, size)`` of a pair or of ``[S; F]``, where F keeps its own scale to S."""

    def __init__(self, scale: Callable[[Tensor, Size], Tensor]) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, value: Pair | Tensor, size: Size | int) -> Pair | Tensor:
        target = (size, size) if isinstance(size, int) else (size[0], size[1])
        if isinstance(value, Tensor):
            return self._scaled(value, target)
        return Pair(self._scaled(value.spatial, target), self._scaled(value.frequency, size_as_in(value, target)))

    def _scaled(self, x: Tensor, size: Size) -> Tensor:
        return apply_to(lambda t: self.scale(t, size), x)
