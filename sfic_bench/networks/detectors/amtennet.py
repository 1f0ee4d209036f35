"""AMTENnet (Guo et al., "Fake face detection via adaptive manipulation traces extraction network", CVIU 2021).

Input 256×256. The source does not give all sizes; this takes those that give the paper's 9.88M parameters: padding
in every 3×3 convolution and every pool, and one hidden layer of 300.
"""

import torch
from torch import Tensor, nn

WIDTHS = ((24, 3), (48, 3), (64, 3), (128, 1))
"""Output channels and kernel of each convolution behind the traces."""

HIDDEN = 300


def _two_convs(channels: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)))


class Traces(nn.Module):
    """``[B, 3, H, W]`` to ``[B, 12, H, W]``: the residual of a predicted image, and features of it.

    There is no activation, which would cut off half of a residual.
    """

    def __init__(self) -> None:
        super().__init__()
        self.predict = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = _two_convs(3), _two_convs(6)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.predict(x) - x
        six = torch.cat([self.first(residual), residual], dim=1)
        return torch.cat([self.second(six), six], dim=1)


class AMTENnet(nn.Module):
    """``[B, 3, input_size, input_size]`` to logits ``[B, classes]``."""

    def __init__(self, classes: int, input_size: int) -> None:
        super().__init__()
        self.traces = Traces()
        width, parts = 12, list[nn.Module]()
        for i, (c_out, kernel) in enumerate(WIDTHS):
            parts += [nn.Conv2d(width, c_out, kernel, padding=kernel // 2), nn.MaxPool2d(3, 2, padding=1)]
            if i < 3:
                parts.append(nn.BatchNorm2d(c_out))
            parts.append(nn.ReLU(inplace=True))
            width, input_size = c_out, (input_size + 1) // 2
        self.features = nn.Sequential(*parts)
        hidden = nn.Linear(width * input_size**2, HIDDEN)
        self.classifier = nn.Sequential(hidden, nn.ReLU(inplace=True), nn.Linear(HIDDEN, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(self.traces(x)).flatten(1))
        return logits
