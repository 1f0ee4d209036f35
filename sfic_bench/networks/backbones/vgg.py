"""VGG with BatchNorm (Simonyan & Zisserman, ICLR 2015), with torchvision's state-dict names under ``features``.

A global average pool and one linear layer take the place of the original's three linear layers, as in the
paper's cost tables: its 14.68 GMac for VGG-13 leave no room for more.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn


class VGG(nn.Module):
    """``[B, 3, H, W]`` to logits ``[B, classes]``; ``depths`` is the number of convolutions before each pool."""

    def __init__(self, depths: Sequence[int], classes: int) -> None:
        super().__init__()
        channels, layers = 3, []
        for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


vgg13 = partial(VGG, (2, 2, 2, 2, 2))
vgg16 = partial(VGG, (2, 2, 3, 3, 3))
vgg19 = partial(VGG, (2, 2, 4, 4, 4))
