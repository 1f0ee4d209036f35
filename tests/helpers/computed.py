"""Convolutions that compute their weight, in each way that networks have, and a network of them."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

MakesConv = Callable[..., nn.Module]
"""Takes the arguments of `torch.nn.Conv2d`."""


class Standardised(nn.Conv2d):
    """Weight standardisation as its authors have it."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=1, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
        std = weight.view(weight.size(0), -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5
        weight = weight / std.expand_as(weight)
        result: Tensor = F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return result


class Scaled(nn.Conv2d):
    """A gain for each output, standardisation by a norm, and a bias that is scaled, too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gain = nn.Parameter(torch.rand(self.out_channels, 1, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        row = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(row, None, None, (self.gain * 0.3).view(-1), training=True).reshape_as(self.weight)
        result: Tensor = self._conv_forward(x, weight, None if self.bias is None else self.bias * 2)
        return result


class InPlace(nn.Conv2d):
    """Its weight is changed in place, and what the changes return is not read."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.clone()
        weight.sub_(weight.mean((1, 2, 3), keepdim=True))
        weight.mul_(2)
        result: Tensor = self._conv_forward(x, weight, self.bias)
        return result


class Spectral(nn.Conv2d):
    """A scale that is a function of weight and buffer, a part of it without gradients."""

    u: Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_buffer("u", torch.randn(self.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(weight.t() @ self.u, dim=0)
        result: Tensor = self._conv_forward(x, self.weight / torch.dot(self.u, weight @ v), self.bias)
        return result


class Centred(nn.Module):
    """A parametrisation over the whole tensor."""

    def forward(self, tensor: Tensor) -> Tensor:
        return 3 * tensor - tensor.mean()


def parametrised(*args: Any, **options: Any) -> nn.Module:
    conv = nn.Conv2d(*args, **options)
    for name in ("weight", "bias") if conv.bias is not None else ("weight",):
        parametrize.register_parametrization(conv, name, Centred())
    return conv


def weight_norm(*args: Any, **options: Any) -> nn.Module:
    conv: nn.Module = parametrizations.weight_norm(nn.Conv2d(*args, **options))
    return conv


def spectral_norm(*args: Any, **options: Any) -> nn.Module:
    return parametrizations.spectral_norm(nn.Conv2d(*args, **options))


def hooked_weight_norm(*args: Any, **options: Any) -> nn.Module:
    return nn.utils.weight_norm(nn.Conv2d(*args, **options))


def hooked_spectral_norm(*args: Any, **options: Any) -> nn.Module:
    return nn.utils.spectral_norm(nn.Conv2d(*args, **options))


KINDS: dict[str, MakesConv] = {
    "standardised": Standardised,
    "scaled": Scaled,
    "in place": InPlace,
    "spectral": Spectral,
    "parametrised": parametrised,
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "hooked weight norm": hooked_weight_norm,
    "hooked spectral norm": hooked_spectral_norm,
}


class Network(nn.Module):
    """A stem, Stage 1, Stage 2 dense, grouped, depthwise and pointwise, a residual sum, Stage 3 and a classifier."""

    def __init__(self, conv: MakesConv, norm: type[nn.Module] = nn.BatchNorm2d, bias: bool = True) -> None:
        super().__init__()

        def layer(c_in: int, c_out: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
            made = conv(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=bias)
            return nn.Sequential(made, norm(c_out), nn.ReLU())

        self.stem, self.first, self.dense = layer(3, 8), layer(8, 10), layer(10, 12)
        self.grouped, self.depthwise = layer(12, 12, groups=4), layer(12, 24, groups=12)
        self.pointwise, self.shortcut, self.last = layer(24, 12, 1), layer(12, 12, 1), layer(12, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(self.first(self.stem(x)))
        x = self.pointwise(self.depthwise(self.grouped(x))) + self.shortcut(x)
        logits: Tensor = self.head(self.last(x).mean((2, 3)))
        return logits
