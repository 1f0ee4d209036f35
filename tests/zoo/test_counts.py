"""Other people's networks, counted layer by layer from blueprints, cost what tracing the built ones gives."""

import pytest
from helpers.counts import check_counts

QUICK = ("timm:convnext_tiny", "timm:mixnet_s", "timm:seresnet18", "torchvision:shufflenet_v2_x0_5")
OTHERS = (
    *("timm:ghostnet_100", "timm:resnetv2_50", "timm:hrnet_w18_small", "timm:cspresnet50", "timm:dla46_c"),
    *("timm:dpn68", "timm:rexnet_100", "timm:res2net50_26w_4s", "timm:fastvit_t8", "timm:mobilenetv4_conv_small"),
    *("torchvision:inception_v3", "torchvision:mobilenet_v3_small", "torchvision:squeezenet1_1"),
)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHERS)])
def test_both_ways_of_counting_agree(name: str) -> None:
    check_counts(name, [0.5], [0.5, 1.0], 224)
