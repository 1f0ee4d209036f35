"""VGG with BatchNorm (Simonyan & Zisserman, ICLR 2015), with torchvision's state-dict names under ``features``.

A global average pool and one linear layer take the place of the original's three linear layers, as in the
paper's cost tables: its 14.68 GMac for VGG-13 leave no room for more.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn

from sfic_bench.networks.backbones.layers import FeatureClassifier


class VGG(FeatureClassifier):
    """``[B, 3, H, W]`` to logits ``[B, classes]``; ``depths`` is the number of convolutions before each pool."""

    def __init__(self, depths: Sequence[int], classes: int) -> None:
        channels, features = 3, nn.Sequential()
        for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                conv = nn.Conv2d(channels, width, 3, padding=1)
                features.extend([conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)])
                channels = width
            features.append(nn.MaxPool2d(2, stride=2))
        super().__init__(features, nn.Linear(channels, classes))


vgg13 = partial(VGG, (2, 2, 2, 2, 2))
vgg16 = partial(VGG, (2, 2, 3, 3, 3))
vgg19 = partial(VGG, (2, 2, 4, 4, 4))
