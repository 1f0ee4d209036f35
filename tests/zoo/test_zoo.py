"""Other people's networks: which of them are converted, and that the result is right.

They are one network of each convolutional family of torchvision and of timm (a module of ``timm.models``).
A network that cannot be converted raises an error that names the reason.
"""

import copy

import pytest
import torch
from helpers.networks import with_identity_mcs
from torch import Tensor, nn

from sfic_bench.convert import ConversionOptions, convert, fuse, graph_of, parity, placement_of, to_sfic
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks import registry
from sfic_bench.nn import MCSConv, Stage2
from sfic_bench.nn.geometry import Geometry
from sfic_bench.nn.grouped import GroupedStage2
from sfic_bench.nn.split import size_of

TORCHVISION = [
    *("alexnet", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18"),
    *("resnet50", "resnext50_32x4d", "wide_resnet50_2", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11"),
    *("vgg11_bn",),
]
TIMM = [
    *("convmixer_768_32", "convnext_atto", "cspresnet50", "cs3darknet_s", "darknet53", "densenet121"),
    *("dm_nfnet_f0", "ecaresnet26t", "nf_regnet_b1", "nf_resnet26", "resnetv2_50x1_bit"),
    *(
        "dla46_c",
        "dpn68",
        "efficientnet_lite0",
        "tf_efficientnet_b0",
        "mixnet_s",
        "tinynet_e",
        "fasternet_t0",
    ),
    *("fastvit_t8", "gernet_s", "repvgg_a0", "mobileone_s0", "ghostnet_100", "hardcorenas_a"),
    *("hgnetv2_b0", "hrnet_w18_small", "inception_next_atto", "inception_resnet_v2", "inception_v4"),
    *("legacy_seresnet18", "legacy_xception", "lcnet_050", "mobilenetv3_small_100", "mobilenetv4_conv_small"),
    *("poolformer_s12", "rdnet_tiny", "regnety_002", "repghostnet_050", "repvit_m0_9", "res2net50_26w_4s"),
    *("resnet26d", "resnetv2_50", "rexnet_100", "selecsls42b", "seresnet18", "starnet_s1"),
    *("ese_vovnet19b_dw", "xception41", "vgg11", "resnet50_clip", "nasnetalarge", "pnasnet5large"),
    *("convnext_atto_rms", "convnext_zepto_rms_ols", "efficientnet_b0_g8_gn", "test_efficientnet_ln"),  # their norms
]
REFUSED = {
    "torchvision:convnext_tiny": "node 'permute.*' .*has no meaning on a pair",
    "timm:mambaout_femto": "node 'permute.*' .*has no meaning on a pair",
    "timm:dm_nfnet_f0": "ScaledStdConv2dSame computes something else than a Conv2d",
    "timm:bat_resnext26ts": r"node 'view.*' \(stages.0.0.attn.ba\)",
    "timm:mobilenetv5_base": r"node 'pow_2' \(blocks.0.0.bn1\)",
    "timm:tf_efficientnet_cc_b0_4e": r"node 'reshape' \(blocks.4.0.conv_pw\)",
    "timm:resnest14d": r"node 'sum_1' \(layer1.0.conv2\)",
    "timm:skresnet18": r"node 'stack' \(layer1.0.conv1\)",
    "timm:tresnet_m": r"node 'conv2d' \(body.layer2.0.conv1.aa\)",
}
CONVERTED = [*(f"torchvision:{n}" for n in TORCHVISION), *(f"timm:{n}" for n in TIMM)]
REPEAT = ("torchvision:vgg11_bn", "timm:pnasnet5large")
"""Large networks made as vgg11 and nasnetalarge are."""
LARGER = {"torchvision:inception_v3": 160, "timm:inception_v4": 160, "timm:inception_resnet_v2": 160}
FIXED = {"timm:fastvit_t8": 256}


def build(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    size = FIXED.get(name) or LARGER.get(name, 96)
    return registry.build(name, classes=5).eval(), torch.randn(2, 3, size, size)


def randomised(model: nn.Module) -> nn.Module:
    """The model, changed in place, with random norms and gains: nothing cancels, and no residual branch is 0."""
    for m in model.modules():
        for name, p in m.named_parameters(recurse=False):
            if p.dim() == 1 and not isinstance(m, nn.Conv2d | nn.Linear):  # norms, and scales that start at about 0
                nn.init.normal_(p, 0, 0.1) if name == "bias" else nn.init.uniform_(p, 0.5, 1.5)
        if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None and m.running_var is not None:
            m.running_mean.normal_(0, 0.1)
            m.running_var.uniform_(0.5, 2)
    for name, parameter in model.named_parameters():
        if name.endswith("gain"):  # of a network without norms; some begin with 0
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


class PooledFirst(nn.Module):
    """A strided convolution as the method has it: an average pool, then the convolution at stride 1."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernel, stride, dilation = map(two, (conv.kernel_size, conv.stride, conv.dilation))
        pads = type(conv).__name__.endswith("Conv2dSame") and getattr(conv, "same_pad", True)
        if isinstance(conv.padding, str) or pads:
            padding = (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)
        else:
            padding = two(conv.padding)
        self.geometry = Geometry(kernel, stride, padding, dilation)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True)
        if "StdConv2d" in type(conv).__name__:  # it computes its weight
            self.conv = copy.deepcopy(conv)
            self.conv.stride, self.conv.padding = (1, 1), self.geometry.own_padding
            vars(self.conv)["same_pad"] = False
            return
        self.conv = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            kernel,
            padding=self.geometry.own_padding,
            dilation=dilation,
            groups=conv.groups,
            bias=conv.bias is not None,
        )
        self.conv.load_state_dict(conv.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(self.geometry.fitted(self.pool(x), size_of(x)))
        return result


def two(values: tuple[int, ...]) -> tuple[int, int]:
    height, width = values
    return height, width


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.thorough] if n in REPEAT else []) for n in CONVERTED],
)
def test_a_converted_network_runs_and_learns(name: str) -> None:
    vanilla, x = build(name)
    with torch.no_grad():
        shape = vanilla(x).shape
    graph = graph_of(vanilla, x.shape[-1])
    for beta in (0.5, 1.0):
        sfic = to_sfic(graph, alpha=0.5, beta=beta)
        assert parity(vanilla, sfic).unexplained == 0
        out = sfic.train()(x)
        assert out.shape == shape
        out.square().mean().backward()
        filters = [m.weight.grad for m in sfic.modules() if isinstance(m, MCSConv)]
        assert filters and all(gradient is not None and gradient.isfinite().all() for gradient in filters)
        exact = randomised(sfic).double().eval()
        with torch.no_grad():
            torch.testing.assert_close(fuse(exact)(x.double()), exact(x.double()), rtol=1e-7, atol=1e-9)
    stages = [m for m in sfic.modules() if isinstance(m, Stage2 | GroupedStage2)]
    convolutions = [m for m in vanilla.modules() if isinstance(m, nn.Conv2d)]
    assert len(stages) >= len(convolutions) / 3  # so not just one stage in a vanilla network


@pytest.mark.parametrize("name", CONVERTED)
def test_at_beta_1_and_without_the_filter_the_function_is_vanillas(name: str) -> None:
    vanilla, x = build(name)
    vanilla = randomised(vanilla).double()
    graph = graph_of(copy.deepcopy(vanilla), x.shape[-1])
    converted = convert(graph, ConversionOptions(placement=placement_of(graph), alpha=0.5, beta=1.0))
    for operation in converted.operations:
        conv = vanilla.get_submodule(operation.path) if operation.role.startswith("Stage") else None
        if isinstance(conv, nn.Conv2d) and conv.stride != (1, 1):
            vanilla.set_submodule(operation.path, PooledFirst(conv).double())
    sfic = with_identity_mcs(converted.network.eval())
    for shortcut, other in placement_of(graph).reads.items():
        pytest.skip(f"the paper lets {shortcut} read what {other} reads")
    with torch.no_grad():
        expected = vanilla.eval()(x.double())
        torch.testing.assert_close(sfic(x.double()), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_network_names_the_place(name: str) -> None:
    with pytest.raises(UnsupportedModel, match=REFUSED[name]):
        to_sfic(registry.build(name, classes=5, device="meta"), alpha=0.5, beta=0.5)


def test_most_networks_are_converted() -> None:
    tried = len(CONVERTED) + len(REFUSED)
    assert tried >= 60 and len(CONVERTED) >= 0.85 * tried
