"""Other people's networks: which of them are converted, and that the result is right.

They are one network of each convolutional family of torchvision and of timm (a module of ``timm.models``), and of each
kind of layer that some of a family have: gates, blurs, computed weights, norms, attention.
"""

import copy
import runpy
from pathlib import Path

import pytest
import timm
import torch
from fvcore.nn import FlopCountAnalysis
from helpers.networks import with_identity_mcs
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sfic_bench.convert import ConversionOptions, convert, fuse, graph_of, parity, placement_of, to_sfic
from sfic_bench.counting import count
from sfic_bench.deploying.export import export
from sfic_bench.deploying.formats import ExportFailed
from sfic_bench.networks import registry
from sfic_bench.nn import MCSConv, Stage2
from sfic_bench.nn.geometry import Geometry
from sfic_bench.nn.grouped import GroupedStage2
from sfic_bench.nn.split import size_of

TORCHVISION = [
    *("alexnet", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18"),
    *("resnet50", "resnext50_32x4d", "wide_resnet50_2", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11"),
    *("vgg11_bn", "convnext_tiny"),
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
    "inception_v3",
    *("regnetz_b16_evos", "resnetv2_50d_frn", "convnextv2_atto"),  # norms that mix places and channels
    *("caformer_s18", "fastvit_sa12", "mobilenetv4_hybrid_medium", "mobilenetv5_base", "bat_resnext26ts"),  # attention
    *("gcresnet33ts", "skresnet18", "resnest14d", "ghostnetv2_100", "eca_nfnet_l0"),  # gates
    *("resnetblur18", "tresnet_m", "mambaout_femto", "efficientnet_x_b3", "tf_efficientnet_cc_b0_4e"),
]
CONVERTED = [*(f"torchvision:{n}" for n in TORCHVISION), *(f"timm:{n}" for n in TIMM)]
REPEAT = ("torchvision:vgg11_bn", "timm:pnasnet5large")
"""Large networks made as vgg11 and nasnetalarge are."""
EIGHTH = [pytest.param(n, marks=[pytest.mark.every] if i % 8 else []) for i, n in enumerate(CONVERTED)]
"""All of them, of which the usual run takes every eighth."""
QUICK = ("timm:nf_resnet26",)
EXPORTED = [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.thorough]) for n in CONVERTED]
"""All of them; since an export takes ten seconds and more, most in the thorough run alone."""
LARGER = {
    "torchvision:inception_v3": 160,
    "timm:inception_v3": 160,
    "timm:inception_v4": 160,
    "timm:inception_resnet_v2": 160,
}
FIXED = {"timm:fastvit_t8": 256, "timm:fastvit_sa12": 256, "timm:bat_resnext26ts": 256}
SINGLE = ("timm:resnetv2_50d_frn", "timm:regnetz_b16_evos", "timm:mobilenetv5_base")
"""Networks that compute statistics in float32, whatever their input is."""


def build_size(name: str) -> int:
    return FIXED.get(name) or LARGER.get(name, 96)


def build(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    size = build_size(name)
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


def check_equal(name: str, actual: Tensor, expected: Tensor) -> None:
    relative, absolute = (1e-5, 1e-6) if name in SINGLE else (1e-7, 1e-9)
    torch.testing.assert_close(actual, expected, rtol=relative, atol=absolute)


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
            check_equal(name, fuse(exact)(x.double()), exact(x.double()))
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
        check_equal(name, sfic(x.double()), expected)


@pytest.mark.parametrize("name", CONVERTED)
def test_state_dicts_go_round_and_reach_the_fused_form(name: str) -> None:
    graph = graph_of(registry.build(name, classes=5, device="meta"), build_size(name))
    sfic, other = (to_sfic(graph, alpha=0.5, beta=0.5) for _ in range(2))
    fused = fuse(sfic, for_training=True)
    state = sfic.state_dict()
    assert state.keys() == fused.state_dict().keys()
    other.load_state_dict(state)
    fused.load_state_dict(state)
    assert {n: t.shape for n, t in fused.state_dict().items()} == {n: t.shape for n, t in state.items()}


NOT_IN_ONNX = ("timm:tf_efficientnet_cc_b0_4e",)
"""Networks that compute a weight for each image, as one convolution whose number of groups follows the batch."""


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_network_computes_the_same(name: str, tmp_path: Path) -> None:
    vanilla, x = build(name)
    graph = graph_of(vanilla, x.shape[-1])
    fused = fuse(to_sfic(graph, alpha=0.5, beta=0.5).eval())
    if name in NOT_IN_ONNX:
        for network in (vanilla, fused):
            with pytest.raises(ExportFailed, match="groups for each image of a batch"):
                export(network, tmp_path / "x.onnx", format="onnx", input_size=x.shape[-1])
        return
    assert export(fused, tmp_path / "x.onnx", format="onnx", input_size=x.shape[-1]).path.is_file()


@pytest.mark.parametrize("name", EIGHTH)
def test_macs_are_those_that_torch_and_fvcore_count(name: str) -> None:
    model, x = build(name)
    cost = count(model, (1, *x.shape[1:]))
    # The kernel of the CPU that attends without a matrix of scores is not counted.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(x[:1])
    assert counter.get_total_flops() == 2 * cost.totals["conv-linear"].macs
    analysis = FlopCountAnalysis(model, x[:1]).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # fvcore does not know a convolution whose padding is a word.
    named = {n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and isinstance(m.padding, str)}
    missed = sum(op.call.macs or 0 for op in cost.ops if op.path in named)
    assert analysis.total() == cost.totals["fvcore"].macs - missed


def test_there_is_one_of_every_family() -> None:
    assert len(CONVERTED) >= 70
    families = {timm.models.model_entrypoint(n.removeprefix("timm:")).__module__ for n in CONVERTED if n[:5] == "timm:"}
    modules = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "zoo.py"))["MODULES"]
    assert {f"timm.models.{module}" for module in modules} <= families
