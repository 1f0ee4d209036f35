"""Smaller vanilla networks, to be compared with SFIC networks that take as long: ``--backbone FILE.py:resnet18``.

The question of who deploys a detector is not whether SFIC-ResNet-26 is better than ResNet-26, but whether it is better
than the vanilla network that gives an answer in the same time.
"""

from torch import Tensor, nn

from sfic_bench.networks.backbones.resnet import ResNet, shortcut_of
from sfic_bench.networks.backbones.vgg import VGG


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016): ``[B, c_in, H, W]`` to ``[B, width, H/s, W/s]``."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut_of(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + shortcut)
        return result


def resnet18(classes: int = 2) -> nn.Module:
    """ResNet-18: a rival of SFIC-ResNet-26."""
    return ResNet((2, 2, 2, 2), classes, BasicBlock)


def resnet14(classes: int = 2) -> nn.Module:
    """ResNet-26 with one bottleneck per stage in place of two: a rival of SFIC-ResNet-26 at small β."""
    return ResNet((1, 1, 1, 1), classes)


def vgg11(classes: int = 2) -> nn.Module:
    """VGG-11 with BatchNorm and the head of the paper's VGGs: a rival of SFIC-VGG-13."""
    return VGG((1, 1, 2, 2, 2), classes)


def vgg10(classes: int = 2) -> nn.Module:
    """VGG-13 with one convolution in place of two before each of the first three pools: a rival of SFIC-VGG-13."""
    return VGG((1, 1, 1, 2, 2), classes)
