"""DenseNet-BC (Huang et al., CVPR 2017), with torchvision's state-dict names."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

GROWTH = 32
BOTTLENECK = 4
"""Output channels of a layer's 1×1 convolution, over `GROWTH`."""


class DenseLayer(nn.Module):
    """``[B, c, H, W]`` to its channels and `GROWTH` more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = BOTTLENECK * GROWTH
        self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(self.relu1(self.norm1(x)))
        new = self.conv2(self.relu2(self.norm2(new)))
        return torch.cat([x, new], 1)


class DenseNet(nn.Module):
    """``[B, 3, H, W]`` to logits ``[B, classes]``; ``layers`` is the number of layers per block."""

    def __init__(self, layers: Sequence[int], classes: int) -> None:
        super().__init__()
        channels = 2 * GROWTH
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        for i, count in enumerate(layers, 1):
            block = nn.Sequential()
            for j in range(1, count + 1):
                block.add_module(f"denselayer{j}", DenseLayer(channels))
                channels += GROWTH
            parts[f"denseblock{i}"] = block
            if i < len(layers):
                norm, conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels // 2, 1, bias=False)
                halving = OrderedDict(norm=norm, relu=nn.ReLU(inplace=True), conv=conv, pool=nn.AvgPool2d(2, stride=2))
                parts[f"transition{i}"] = nn.Sequential(halving)
                channels //= 2
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(parts)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.relu(self.features(x))).flatten(1))
        return logits


densenet121 = partial(DenseNet, (6, 12, 24, 16))
