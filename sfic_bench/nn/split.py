"""How a feature map is divided into a spatial and a frequency branch.

The notation is that of the paper (Guo et al., IEEE TIFS 2024, Section III): α is the share of the channels
that the frequency branch F gets, β the ratio of its height and width to those of the spatial branch S.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, slots=True)
class Split:
    """Channels of the spatial and of the frequency branch; one of them may be 0."""

    spatial: int
    frequency: int

    @classmethod
    def of(cls, channels: int, alpha: float) -> "Split":
        """F gets ``int(alpha * channels)`` channels and S gets the rest.

        S is a difference, never a second rounded product: ``int(10 * (1 - 0.3))`` is 6, and 6 + 3 is not 10.

        Raises:
            ValueError: if ``alpha`` lies outside [0, 1].
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        frequency = int(alpha * channels)
        return cls(channels - frequency, frequency)

    @property
    def total(self) -> int:
        return self.spatial + self.frequency

    def __mul__(self, factor: int) -> "Split":
        """The split after a depthwise convolution with ``factor`` outputs per input channel."""
        return Split(self.spatial * factor, self.frequency * factor)


class Pair(NamedTuple):
    """The spatial branch S ``[B, c_s, H, W]`` and the frequency branch F ``[B, c_f, h, w]``.

    A branch without channels (α = 0 or 1) is a tensor with 0 channels and keeps its height and
    width, so that no layer needs a special case to know how large the other branch should be.
    """

    spatial: Tensor
    frequency: Tensor


def check_beta(beta: float) -> None:
    """Raise `ValueError` unless ``beta`` lies in (0, 1]."""
    if not 0 < beta <= 1:
        raise ValueError(f"beta must lie in (0, 1], got {beta}")


def scaled_size(size: Size, beta: float) -> Size:
    """Height and width of F beside an S of ``size``: ``max(1, int(beta * n))`` each.

    It holds for Stage 1. Behind it strides halve F from F's own size and not from S's: at 224 pixels and β = 0.75 a
    ResNet's F has 42, 21, 11 and 6 pixels, where ``int(beta * n)`` would give 42, 21, 10 and 5.
    """
    height, width = size
    return max(1, int(beta * height)), max(1, int(beta * width))


def size_of(x: Tensor) -> Size:
    """Height and width of ``x`` ``[B, C, H, W]``."""
    height, width = x.shape[-2:]
    return height, width


def apply_to(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``function(x)`` for a function that treats all channels alike; ``x`` may have no channels.

    torch's pools and resizes accept a batch of 0 but not 0 channels, so the two axes swap places.
    """
    if x.shape[1]:
        return function(x)
    return function(x.transpose(0, 1)).transpose(0, 1)


def resize(x: Tensor, size: Size) -> Tensor:
    """Nearest-neighbour resize to a *target size*; never by a fraction, since 1/0.75 loses a pixel.

    Where a network is exported, an integer factor is written as such: with a size, which depends on the batch, ONNX
    Runtime leaves its blocked layout at every resize, and SFIC-ResNet-26 takes a tenth longer.
    """
    height, width = size_of(x)
    if (height, width) == size:
        return x
    if torch.compiler.is_exporting() and size[0] % height == 0 and size[1] % width == 0:
        factors = (float(size[0] // height), float(size[1] // width))
        return apply_to(lambda t: F.interpolate(t, scale_factor=factors, mode="nearest"), x)
    return apply_to(lambda t: F.interpolate(t, size=size, mode="nearest"), x)
