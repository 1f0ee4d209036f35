import pytest
import torch
from torch import nn

from sfic_bench import api
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.networks import registry
from sfic_bench.networks.families import FAMILIES


def parameters(name: str, classes: int = 2) -> int:
    return sum(p.numel() for p in registry.build(name, classes=classes, device="meta").parameters())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # torchvision's published counts for 1000 classes, minus 998 classes of (features + 1) each.
        ("resnet50", 25_557_032 - 998 * 2049),
        ("resnet101", 44_549_160 - 998 * 2049),
        ("resnet152", 60_192_808 - 998 * 2049),
        # The vgg*_bn features, published total minus the three linear layers
        # (25088·4096 + 4096, 4096·4096 + 4096, 4096·1000 + 1000), plus Linear(512, 2).
        ("vgg13", 133_053_736 - 123_642_856 + 1026),
        ("vgg16", 138_365_992 - 123_642_856 + 1026),
        ("vgg19", 143_678_248 - 123_642_856 + 1026),
        # MobileNet v1 has 4,231,976 with 1000 classes.
        ("mobilenet", 4_231_976 - 998 * 1025),
        ("resnet26", 13_950_274),
        ("alexnet", 61_100_840 - 998 * 4097),
        ("densenet121", 7_978_856 - 998 * 1025),
        ("efficientnet_b0", 5_288_548 - 998 * 1281),
    ],
)
def test_parameter_counts(name: str, expected: int) -> None:
    assert parameters(name) == expected


def test_state_dict_names_are_torchvisions() -> None:
    resnet = registry.build("resnet50", device="meta").state_dict()
    for key, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.num_batches_tracked": (),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.bias": (2048,),
        "fc.weight": (2, 2048),
    }.items():
        assert tuple(resnet[key].shape) == shape
    # 53 convolutions and norms: 1 + 16 blocks · 3 + 4 shortcuts; a norm has five tensors; fc has two.
    assert len(resnet) == 53 + 53 * 5 + 2
    vgg = registry.build("vgg16", device="meta").state_dict()
    for key in ("features.0.weight", "features.0.bias", "features.1.running_var", "features.41.weight"):
        assert key in vgg
    dense = registry.build("densenet121", device="meta").state_dict()
    assert tuple(dense["features.denseblock4.denselayer16.conv2.weight"].shape) == (32, 128, 3, 3)
    assert tuple(dense["features.transition3.conv.weight"].shape) == (512, 1024, 1, 1)
    efficient = registry.build("efficientnet_b0", device="meta").state_dict()
    assert tuple(efficient["features.2.0.block.2.fc1.weight"].shape) == (4, 96, 1, 1)
    assert tuple(efficient["features.1.0.block.0.0.weight"].shape) == (32, 1, 3, 3)


@pytest.mark.parametrize("name", registry.names())
def test_every_backbone_computes(name: str) -> None:
    out = registry.build(name, classes=3)(torch.randn(2, 3, 80, 64))
    assert out.shape == (2, 3) and out.isfinite().all()


def test_building_on_meta_leaves_initialisation_alone_elsewhere() -> None:
    registry.build("resnet26", device="meta")
    torch.manual_seed(0)
    first = nn.Conv2d(3, 4, 3).weight
    torch.manual_seed(0)
    assert torch.equal(first, nn.Conv2d(3, 4, 3).weight) and first.std() > 0


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet5O", "resnet50"),
        ("resnet", "resnet50"),
        ("convnext", "timm:convnext_tiny"),
        ("ConvNeXt-T", "timm:convnext_tiny"),
        ("convnxt", "timm:convnext_tiny"),
        ("resnext50", "torchvision:resnext50_32x4d"),
        ("mobilenet_v3", "torchvision:mobilenet_v3_small"),
    ],
)
def test_unknown_names_get_the_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{suggestion}'"):
        registry.build(name)


def test_names_that_resemble_none_get_no_suggestion() -> None:
    with pytest.raises(UnknownName) as caught:
        registry.build("nonsense")
    assert "did you mean" not in str(caught.value)


def test_suggested_references_are_well_formed() -> None:
    for reference in FAMILIES.values():
        registry.check_name(reference)


def test_registering_twice_is_refused() -> None:
    with pytest.raises(InvalidValue, match="'vgg13' is registered already"):
        registry.register("vgg13", lambda classes: nn.Linear(1, classes))


def test_too_few_classes() -> None:
    with pytest.raises(InvalidValue, match="classes must be at least 1, got 0"):
        registry.build("vgg13", classes=0)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_first_weights_are_hes_by_default_for_the_papers_backbones(alpha: float | None) -> None:
    """He's normal distribution, fan-out: variance 2 / (k² · outputs), of a stage's block by its own outputs."""
    torch.manual_seed(0)
    network = api.build("resnet26", alpha=alpha)
    for conv in (m for m in network.modules() if isinstance(m, nn.Conv2d)):
        expected = (2 / (conv.out_channels * conv.kernel_size[0] ** 2)) ** 0.5
        error = 5 * expected / (2 * conv.weight.numel()) ** 0.5  # 5 standard errors of a standard deviation
        assert abs(float(conv.weight.detach().std()) - expected) < error + 1e-3 * expected
    head = network.get_parameter("fc.weight")
    assert float(head.detach().abs().max()) <= 2048**-0.5


def test_first_weights_are_torchs_where_asked_for_and_for_other_networks() -> None:
    for name, initialisation in (("resnet26", "torch"), ("densenet121", "released")):
        torch.manual_seed(0)
        built = api.build(name, initialisation=initialisation)
        torch.manual_seed(0)
        assert torch.equal(next(built.parameters()), next(registry.build(name).parameters()))
    with pytest.raises(UnknownName, match="did you mean 'released'"):
        api.build("resnet26", initialisation="relased")
