"""EfficientNet (Tan & Le, ICML 2019): B0 of Table 1 and its compound scaling, with torchvision's state-dict names.

It has no stochastic depth, which acts in training alone: no residual branch is ever dropped.
"""

import math
from functools import partial

from torch import Tensor, nn

from sfic_bench.networks.backbones.layers import FeatureClassifier, conv_norm_act

BLOCKS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Expansion, kernel, stride, output channels and number of blocks of each stage of B0."""

STEM, LAST = 32, 1280


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv_norm_act(c_in, c_out, kernel, stride, groups=groups, act=nn.SiLU))


class SqueezeExcitation(nn.Module):
    """``[B, c, H, W]`` times a gate for each channel, which a hidden layer computes (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
        self.activation, self.scale_activation = nn.SiLU(inplace=True), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return gate * x


class MBConv(nn.Module):
    """An inverted residual block: expand, convolve depthwise, gate, project; with a shortcut where the shape stays."""

    def __init__(self, c_in: int, c_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = c_in * expansion
        parts = [_conv(c_in, width, 1)] if expansion > 1 else []
        project = nn.Sequential(nn.Conv2d(width, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
        depthwise = _conv(width, width, kernel, stride, groups=width)
        self.block = nn.Sequential(*parts, depthwise, SqueezeExcitation(width, max(1, c_in // 4)), project)
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.block(x)
        return result + x if self.is_residual else result


def _scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded to a multiple of 8 that is at least 90% of it."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


class EfficientNet(FeatureClassifier):
    """``[B, 3, H, W]`` to logits ``[B, classes]``; without scaling it is B0.

    ``width`` is the factor of all channels, ``depth`` that of the number of blocks of each stage.
    """

    def __init__(self, classes: int, *, width: float = 1.0, depth: float = 1.0, dropout: float = 0.2) -> None:
        channels, last = _scaled(STEM, width), _scaled(LAST, width)
        features = nn.Sequential(_conv(3, channels, 3, stride=2))
        for expansion, kernel, stride, c_out, count in BLOCKS:
            stage = nn.Sequential()
            for i in range(math.ceil(count * depth)):
                stage.append(MBConv(channels, _scaled(c_out, width), expansion, kernel, 1 if i else stride))
                channels = _scaled(c_out, width)
            features.append(stage)
        features.append(_conv(channels, last, 1))
        super().__init__(features, nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes)))


efficientnet_b4 = partial(EfficientNet, width=1.4, depth=1.8, dropout=0.4)
