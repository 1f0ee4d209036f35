"""MobileNet v1 (Howard et al., 2017, Table 1), width 1.0."""

from torch import nn

from sfic_bench.networks.backbones.layers import FeatureClassifier, conv_norm_act

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Output channels and stride of each depthwise separable convolution."""


class MobileNet(FeatureClassifier):
    """``[B, 3, H, W]`` to logits ``[B, classes]``."""

    def __init__(self, classes: int) -> None:
        channels = 32
        features = nn.Sequential(nn.Sequential(*conv_norm_act(3, channels, 3, stride=2)))
        for width, stride in BLOCKS:
            depthwise = conv_norm_act(channels, channels, 3, stride, groups=channels)
            features.append(nn.Sequential(*depthwise, *conv_norm_act(channels, width, 1)))
            channels = width
        super().__init__(features, nn.Linear(channels, classes))
