"""XceptionNet (Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017).

Input 299×299; the paper counts it at 256×256. This is the form that FaceForensics++ (Rössler et al., ICCV 2019)
made the baseline of deepfake detection; it differs from the source in its head alone, which gives two logits.
"""

from itertools import pairwise

from torch import Tensor, nn

from sfic_bench.networks.backbones.layers import FeatureClassifier

BLOCKS = (((128, 128), 2), ((256, 256), 2), ((728, 728), 2), *(((728, 728, 728), 1),) * 8, ((728, 1024), 2))
"""Output channels of each block's separable convolutions, and its stride."""

STEM, TAIL = (32, 64), (1536, 2048)


def separable(c_in: int, c_out: int) -> list[nn.Module]:
    """A 3×3 depthwise convolution, a 1×1 convolution over all channels, and a norm behind both."""
    return [
        nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False),
        nn.Conv2d(c_in, c_out, 1, bias=False),
        nn.BatchNorm2d(c_out),
    ]


class XceptionBlock(nn.Module):
    """Separable convolutions, a max pool for the stride, and a shortcut with a 1×1 convolution where shapes change."""

    def __init__(self, c_in: int, widths: tuple[int, ...], stride: int, *, is_first: bool = False) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for a, b in pairwise((c_in, *widths)):
            parts += [nn.ReLU(), *separable(a, b)]
        if is_first:  # the stem in front of it ends in a ReLU
            parts = parts[1:]
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            parts.append(nn.MaxPool2d(3, stride, padding=1))
            conv = nn.Conv2d(c_in, widths[-1], 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(widths[-1]))
        self.body = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x) + self.shortcut(x)
        return result


class Xception(FeatureClassifier):
    """``[B, channels, H, W]`` to logits ``[B, classes]``."""

    def __init__(self, classes: int, channels: int = 3) -> None:
        features = nn.Sequential(
            nn.Conv2d(channels, STEM[0], 3, stride=2, bias=False),
            nn.BatchNorm2d(STEM[0]),
            nn.ReLU(),
            nn.Conv2d(*STEM, 3, bias=False),
            nn.BatchNorm2d(STEM[1]),
            nn.ReLU(),
        )
        width = STEM[1]
        for i, (widths, stride) in enumerate(BLOCKS):
            features.append(XceptionBlock(width, widths, stride, is_first=i == 0))
            width = widths[-1]
        for c_out in TAIL:
            features.extend([*separable(width, c_out), nn.ReLU()])
            width = c_out
        super().__init__(features, nn.Linear(width, classes))
