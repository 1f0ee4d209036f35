"""Smaller vanilla networks, to be compared with SFIC networks that take as long: ``--backbone FILE.py:resnet18``.

The question of who deploys a detector is not whether SFIC-ResNet-26 is better than ResNet-26, but whether it is better
than the vanilla network that gives an answer in the same time.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from sfic_bench.networks.backbones.resnet import ResNet
from sfic_bench.networks.backbones.vgg import VGG


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016): ``[B, c_in, H, W]`` to ``[B, width, H/s, W/s]``."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != width:
            conv = nn.Conv2d(in_channels, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + shortcut)
        return result


class BasicResNet(nn.Module):
    """``[B, 3, H, W]`` to logits ``[B, classes]``; ``layers`` is the number of basic blocks per stage."""

    def __init__(self, layers: Sequence[int], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, self.blocks = 64, nn.Sequential()
        for i, blocks in enumerate(layers):
            for block in range(blocks):
                self.blocks.append(BasicBlock(channels, 64 << i, stride=2 if i and not block else 1))
                channels = 64 << i
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet18(classes: int = 2) -> nn.Module:
    """ResNet-18: a rival of SFIC-ResNet-26."""
    return BasicResNet((2, 2, 2, 2), classes)


def resnet14(classes: int = 2) -> nn.Module:
    """ResNet-26 with one bottleneck per stage in place of two: a rival of SFIC-ResNet-26 at small β."""
    return ResNet((1, 1, 1, 1), classes)


def vgg11(classes: int = 2) -> nn.Module:
    """VGG-11 with BatchNorm and the head of the paper's VGGs: a rival of SFIC-VGG-13."""
    return VGG((1, 1, 2, 2, 2), classes)
