"""Well-known families of networks that are not registered, and a member of each in timm or torchvision.

Neither library is imported. Where a family is named, `sfic_bench.networks.registry` suggests the member.
"""

FAMILIES = {
    "convmixer": "timm:convmixer_768_32",
    "convnext": "timm:convnext_tiny",
    "cspresnet": "timm:cspresnet50",
    "darknet": "timm:darknet53",
    "deit": "timm:deit_tiny_patch16_224",
    "dla": "timm:dla46_c",
    "dpn": "timm:dpn68",
    "efficientnetlite": "timm:efficientnet_lite0",
    "efficientnetv2": "torchvision:efficientnet_v2_s",
    "fastvit": "timm:fastvit_t8",
    "ghostnet": "timm:ghostnet_100",
    "googlenet": "torchvision:googlenet",
    "hrnet": "timm:hrnet_w18_small",
    "inception": "torchvision:inception_v3",
    "mixnet": "timm:mixnet_s",
    "mnasnet": "torchvision:mnasnet0_5",
    "mobilenetv2": "torchvision:mobilenet_v2",
    "mobilenetv3": "torchvision:mobilenet_v3_small",
    "mobilenetv4": "timm:mobilenetv4_conv_small",
    "mobileone": "timm:mobileone_s0",
    "poolformer": "timm:poolformer_s12",
    "regnet": "torchvision:regnet_y_400mf",
    "repvgg": "timm:repvgg_a0",
    "res2net": "timm:res2net50_26w_4s",
    "resnet18": "torchvision:resnet18",
    "resnet34": "torchvision:resnet34",
    "resnetv2": "timm:resnetv2_50",
    "resnext": "torchvision:resnext50_32x4d",
    "rexnet": "timm:rexnet_100",
    "seresnet": "timm:seresnet18",
    "shufflenet": "torchvision:shufflenet_v2_x0_5",
    "squeezenet": "torchvision:squeezenet1_1",
    "swin": "torchvision:swin_t",
    "vit": "torchvision:vit_b_16",
    "wideresnet": "torchvision:wide_resnet50_2",
}
"""The keys are how a family's names begin, in lower case and without hyphens and underscores."""
