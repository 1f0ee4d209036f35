"""MesoInception-4 (Afchar et al., "MesoNet: a Compact Facial Video Forgery Detection Network", WIFS 2018).

Input 256×256. This is the PyTorch port, which has the paper's 28.52K parameters. It differs from the source by two
logits instead of one, dilated 3×3 convolutions instead of 5×5 and 7×7 convolutions of the same extent, and one
BatchNorm that the last two convolutions share.
"""

import torch
from torch import Tensor, nn

WIDTHS = ((1, 4, 4, 2), (2, 4, 4, 2))
"""Channels of each inception module's branches: one with a 1×1 convolution, then those with dilation 1, 2 and 3."""

WIDTH = 16
"""Channels of the last two convolutions and of the hidden layer."""


class Inception(nn.Module):
    """``[B, c, H, W]`` to ``[B, sum of widths, H, W]``: convolutions at four scales."""

    def __init__(self, c_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(c_in, widths[0], 1, bias=False)])
        for dilation, width in enumerate(widths[1:], 1):
            reduction = nn.Conv2d(c_in, width, 1, bias=False)
            dilated = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
            self.branches.append(nn.Sequential(reduction, dilated))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class MesoInception(nn.Module):
    """``[B, 3, input_size, input_size]`` to logits ``[B, classes]``."""

    def __init__(self, classes: int, input_size: int) -> None:
        super().__init__()
        channels, parts = 3, []
        for widths in WIDTHS:
            parts += [Inception(channels, widths), nn.BatchNorm2d(sum(widths)), nn.MaxPool2d(2)]
            channels = sum(widths)
        self.inceptions = nn.Sequential(*parts)
        self.conv1 = nn.Conv2d(channels, WIDTH, 5, padding=2, bias=False)
        self.conv2 = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, bias=False)
        self.norm, self.relu = nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)
        self.pool1, self.pool2 = nn.MaxPool2d(2), nn.MaxPool2d(4)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(WIDTH * (input_size // 32) ** 2, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Dropout(0.5),
            nn.Linear(WIDTH, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.inceptions(x)
        x = self.pool1(self.norm(self.relu(self.conv1(x))))
        x = self.pool2(self.norm(self.relu(self.conv2(x))))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits
