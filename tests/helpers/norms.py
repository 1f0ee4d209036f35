"""Norms over several channels as libraries and papers have them, and pairs to try them on."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfic_bench.convert.layout import Layout
from sfic_bench.nn import Pair, Split


class ChannelsFirst(nn.LayerNorm):
    """LayerNorm over the channels of [B, C, H, W], as several libraries have it."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Chosen(nn.Module):
    """LayerNorm on either axis, written out and without a base class, as ConvNeXt's authors have it."""

    def __init__(self, channels: int, axis: int = 1) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(channels)), nn.Parameter(torch.rand(channels))
        self.eps, self.axis = 1e-6, axis

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(self.axis, -1)
        centred = x - x.mean(-1, keepdim=True)
        y = centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + self.eps)
        return (self.weight * y + self.bias).movedim(-1, self.axis)


class RootMeanSquare(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.rand(channels)), 1e-6

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + self.eps) * self.weight[:, None, None]


class Spread(RootMeanSquare):
    """Division by the standard deviation, without a subtraction."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.var(1, keepdim=True) + self.eps) * self.weight[:, None, None]


class WithActivation(nn.GroupNorm):
    def __init__(self, groups: int, channels: int, activation: nn.Module | None = None) -> None:
        super().__init__(groups, channels)
        self.drop, self.act = nn.Dropout(0.5), activation or nn.SiLU(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


class InFloat32(ChannelsFirst):
    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        x = F.layer_norm(input.float().permute(0, 2, 3, 1), self.normalized_shape, weight, bias, self.eps)
        return x.permute(0, 3, 1, 2).to(input.dtype)


MADE: dict[str, Callable[[int, int], nn.Module]] = {
    "GroupNorm": nn.GroupNorm,
    "without weights": partial(nn.GroupNorm, affine=False),
    "with an activation": WithActivation,
    "LayerNorm": lambda _, channels: ChannelsFirst(channels),
    "without a bias": lambda _, channels: ChannelsFirst(channels, bias=False),
    "written out": lambda _, channels: Chosen(channels),
    "RMS": lambda _, channels: RootMeanSquare(channels),
    "spread": lambda _, channels: Spread(channels),
}


def randomised_norm(norm: nn.Module) -> nn.Module:
    """The norm in float64 with random weights; it is changed in place."""
    for name, p in norm.named_parameters():
        nn.init.normal_(p) if name == "bias" else nn.init.uniform_(p, 0.5, 1.5)
    return norm.double().eval()


def dealt(x: Tensor, layout: Layout) -> Pair:
    return Pair(*(x[:, list(branch)] for branch in layout))


def joined(pair: Pair, layout: Layout) -> Tensor:
    return torch.cat(pair, 1)[:, list(layout.places)]


def layout_of(channels: int, alpha: float, seed: int) -> Layout:
    """Any channels on either branch."""
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed)).tolist()
    width = Split.of(channels, alpha).spatial
    return Layout(tuple(order[:width]), tuple(order[width:]))
