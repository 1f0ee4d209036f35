"""Bottleneck ResNets (He et al., CVPR 2016), with torchvision's state-dict names.

The stride sits on the 3×3 convolution, as in torchvision. ResNet-26 is bottlenecks [2, 2, 2, 2].
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from torch import Tensor, nn


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 and a shortcut: ``[B, c_in, H, W]`` to ``[B, 4·width, H/stride, W/stride]``."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut_of(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + shortcut)
        return result


def shortcut_of(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """What makes a block's input as large as its result; ``None`` if it is already."""
    if stride == 1 and in_channels == out_channels:
        return None
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class ResidualBlock(Protocol):
    """A class of residual blocks, whose results have ``expansion`` times their width as channels."""

    expansion: int

    def __call__(self, in_channels: int, width: int, stride: int) -> nn.Module: ...


class ResNet(nn.Module):
    """``[B, 3, H, W]`` to logits ``[B, classes]``; ``layers`` is the number of blocks per stage."""

    def __init__(self, layers: Sequence[int], classes: int, block: ResidualBlock = Bottleneck) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        stages = []
        for i, blocks in enumerate(layers):
            width = 64 << i
            stage = nn.Sequential()
            for number in range(blocks):
                stage.append(block(channels, width, stride=2 if i and not number else 1))
                channels = width * block.expansion
            stages.append(stage)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


resnet26 = partial(ResNet, (2, 2, 2, 2))
resnet50 = partial(ResNet, (3, 4, 6, 3))
resnet101 = partial(ResNet, (3, 4, 23, 3))
resnet152 = partial(ResNet, (3, 8, 36, 3))
