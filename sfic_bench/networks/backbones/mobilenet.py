"""MobileNet v1 (Howard et al., 2017, Table 1), width 1.0."""

from torch import Tensor, nn

BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""Output channels and stride of each depthwise separable convolution."""


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    ]


class MobileNet(nn.Module):
    """``[B, 3, H, W]`` to logits ``[B, classes]``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        channels = 32
        self.features = nn.Sequential(nn.Sequential(*_conv(3, channels, 3, stride=2)))
        for width, stride in BLOCKS:
            depthwise = _conv(channels, channels, 3, stride, groups=channels)
            pointwise = _conv(channels, width, 1)
            self.features.append(nn.Sequential(*depthwise, *pointwise))
            channels = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


mobilenet = MobileNet
