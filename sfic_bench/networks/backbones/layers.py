"""Layers that several backbones share."""

from torch import Tensor, nn


def conv_norm_act(
    c_in: int, c_out: int, kernel: int, stride: int = 1, *, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> list[nn.Module]:
    """A convolution without a bias whose padding keeps the size, a BatchNorm, and an activation in place."""
    return [
        nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        act(inplace=True),
    ]


class FeatureClassifier(nn.Module):
    """Images ``[B, c, H, W]`` to features, which are pooled to n×n, to logits ``[B, classes]``."""

    def __init__(self, features: nn.Sequential, classifier: nn.Module, n: int = 1) -> None:
        super().__init__()
        self.features, self.avgpool, self.classifier = features, nn.AdaptiveAvgPool2d(n), classifier

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits
