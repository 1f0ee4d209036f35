from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Applied
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import sfic_bench
from sfic_bench.counting import CONVENTIONS, count
from sfic_bench.errors import UnknownName

# The tools themselves gave these figures for the released ResNet code with 2 classes and an input of 1×3×256×256.
# SFIC has α = .5 and β = 1. MCSConv takes 6,553,600 = 25 · 64 channels · 64 · 64; counters that hook modules miss it.
# The 2×2 pools of three blocks read 2,752,512 = (128 + 256)·64² + (256 + 512)·32² + (512 + 1024)·16² elements.
GOLDEN = {
    ("resnet50", None): {
        "paper": 5_381_066_754,
        "ptflops-0.7.1": 5_394_796_546,
        "ptflops-0.7.5": 5_394_796_546,
        "ptflops-aten": 5_338_304_514,
        "fvcore": 5_367_468_032,
        "thop": 5_396_502_528,
        "conv-linear": 5_338_304_512,
    },
    ("resnet50", 0.5): {
        "paper": 5_381_066_754 + 2_752_512,
        "ptflops-0.7.1": 5_394_796_546 + 2 * 2_752_512,
        "ptflops-aten": 5_338_304_514 + 6_553_600,
        "fvcore": 5_367_468_032 + 6_553_600,
        "thop": 5_396_502_528 + 2_752_512 // 4,
        "conv-linear": 5_338_304_512 + 6_553_600,
    },
    ("resnet26", None): {"paper": 3_084_619_778},
    ("resnet26", 0.5): {"paper": 3_087_372_290},
    ("resnet101", None): {"paper": 10_249_736_194},
}


@pytest.mark.parametrize(("name", "alpha"), GOLDEN)
def test_golden_values(name: str, alpha: float | None) -> None:
    model = sfic_bench.build(name, alpha=alpha, device="meta")
    cost = sfic_bench.count(model, input_size=(1, 3, 256, 256))
    for convention, macs in GOLDEN[name, alpha].items():
        assert cost.totals[convention].macs == macs, convention
    if name == "resnet50":
        expected = 23_512_130 + (1_600 if alpha else 0)
        assert (cost.parameters.total, cost.parameters.trainable, cost.parameters.dead) == (
            expected,
            expected,
            0,
        )


@settings(max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 2),
    st.booleans(),
    st.integers(11, 20),
    st.booleans(),
)
def test_shapes_and_macs_are_torchs(
    batch: int,
    groups: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    ceil: bool,
    size: int,
    bias: bool,
) -> None:
    """They equal those of a real forward pass under torch's own counter."""
    model = nn.Sequential(
        nn.Conv2d(3, 4 * groups, kernel, stride, padding, dilation, bias=bias),
        nn.BatchNorm2d(4 * groups),
        nn.ReLU6(),
        nn.MaxPool2d(3, stride, padding=1, ceil_mode=ceil),
        nn.Conv2d(4 * groups, 2 * groups, 1, groups=groups),
        nn.AvgPool2d(2, stride, ceil_mode=ceil, padding=1),
        nn.ConvTranspose2d(2 * groups, 3, kernel, 2, padding=kernel // 2, output_padding=1, bias=bias),
        nn.Upsample(size=(7, 5)),
        nn.AdaptiveAvgPool2d((2, None)),
        nn.Flatten(),
        nn.Linear(3 * 2 * 5, 6),
        nn.PReLU(),
    ).eval()
    x = torch.randn(batch, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        real = model(x)
    cost = count(model, tuple(x.shape))
    assert cost.output == tuple(real.shape)
    assert cost.macs == counter.get_total_flops() // 2
    assert not cost.totals["conv-linear"].unsupported


class Functional(nn.Module):
    """A network whose operations are calls of functions, not of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, padding="same")
        y = torch.cat([x, 1 - x / 2], dim=1) * x.mean((2, 3), keepdim=True).sigmoid().repeat(1, 2, 1, 1)
        y = F.interpolate(y, scale_factor=0.5) - y[:, :, ::2, ::2].sum(1, keepdim=True)
        q = y.flatten(2)
        return F.softmax(q.transpose(1, 2) @ q, dim=-1)


def test_functional_operations_are_counted() -> None:
    model = Functional()
    x = torch.randn(2, 3, 8, 8)
    with FlopCounterMode(display=False) as counter:
        real = model(x)
    cost = count(model, (2, 3, 8, 8))
    assert cost.output == tuple(real.shape)
    assert cost.macs == counter.get_total_flops() // 2 == 2 * 4 * 8 * 8 * 27 + 2 * 16 * 8 * 16
    # repeat has no rule, so it is reported; conv-linear leaves out operations without multiply-adds.
    assert cost.totals["conv-linear"].unsupported == {"repeat (functional)": 1}
    assert "conv (functional)" in cost.totals["paper"].unsupported
    assert cost.totals["paper"].macs == 0


@pytest.mark.parametrize(
    ("compute", "macs"),
    [
        (lambda x: x.std(), 0),
        (lambda x: torch.var(x, (1, 2), keepdim=True), 0),
        (lambda x: x.std(1, False, True), 0),
        (lambda x: torch.std(x, False), 0),
        (lambda x: torch.var_mean(x, 0)[0], 0),
        (lambda x: x.norm(2, 1, True), 0),
        (lambda x: torch.linalg.vector_norm(x, dim=(0, 2)), 0),
        (lambda x: F.normalize(x, dim=1), 0),
        (lambda x: torch._weight_norm(x, x.norm(2, (1, 2), True)), 0),
        (lambda x: torch.mv(x[0], x[0, 0]), 4 * 5),
        (lambda x: torch.dot(x[0, 0], x[0, 1]) + torch.vdot(x[0, 0], x[0, 1]), 2 * 5),
    ],
)
def test_what_weights_are_computed_with_is_known(compute: Callable[[Tensor], Tensor], macs: int) -> None:
    model, x = Applied(compute), torch.randn(3, 4, 5)
    cost = count(model, (3, 4, 5))
    assert cost.output == tuple(model(x).shape) and cost.macs == macs
    assert not cost.totals["conv-linear"].unsupported


def test_unknown_operations_are_never_silently_zero() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = torch.fft.rfft2(x).abs()
            return result

    totals = count(Spectrum(), (1, 3, 8, 8)).totals
    for name in CONVENTIONS:
        assert totals[name].macs == 0
        assert totals[name].unsupported["fft_rfft2 (functional)"] == 1


@pytest.mark.parametrize("convention", CONVENTIONS)
@settings(max_examples=8)
@given(batch=st.integers(2, 9), alpha=st.floats(0, 1), beta=st.floats(0.1, 1))
def test_macs_are_linear_in_the_batch(convention: str, batch: int, alpha: float, beta: float) -> None:
    model = sfic_bench.build("mobilenet", alpha=alpha, beta=beta, device="meta")
    one, many = (count(model, (b, 3, 64, 64)).totals[convention].macs for b in (1, batch))
    if convention != "ptflops-0.7.1":  # its interpolation rule forgets channels and batch
        assert many == batch * one


def test_a_shared_module_counts_once_for_each_parent() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            relu = nn.ReLU()
            pool = nn.AvgPool2d(1)
            self.a, self.b = nn.Sequential(relu, pool), nn.Sequential(relu, pool)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.b(self.a(x))
            return result

    totals = count(Shared(), (1, 8, 16, 16)).totals
    n = 8 * 16 * 16  # of each of the two calls of each module
    assert totals["paper"].macs == 2 * 2 * n + 2 * 2 * n  # twice, for two parents
    assert totals["thop"].macs == 2 * 4 * n  # 4×; relu is 0


def test_activations_bytes_and_layers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 2))
    cost = count(model, (1, 3, 4, 4))
    assert cost.activations == 8 * 16 + 2
    conv = 3 * 16 + (8 * 27 + 8) + 8 * 16  # reads input, weight, bias; writes output
    relu = 2 * 8 * 16
    linear = 8 * 16 + (2 * 8 * 16 + 2) + 2
    assert cost.bytes_moved == 4 * (conv + relu + linear)
    layers = cost.layers("paper")
    assert [(x.path, x.kind, x.params, x.macs) for x in layers] == [
        ("0", "conv", 224, 8 * 16 * 27 + 8 * 16),
        ("1", "relu", 0, 8 * 16),
        ("3", "linear", 258, 256 + 2),
    ]
    assert sum(x.macs or 0 for x in layers) == cost.totals["paper"].macs
    with pytest.raises(UnknownName, match="did you mean 'paper'"):
        cost.layers("papr")


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "skipped"),
    [
        (1, 2, 0, 1, 9 * 7 - 5 * 4),  # every other row and column, from the first
        (1, 3, 0, 1, 9 * 7 - 3 * 3),
        (3, 2, 1, 1, 0),
        (3, 4, 0, 1, 9 * 7 - 6 * 6),  # rows 0–2 and 4–6; columns 0–2 and 4–6
        (2, 2, 0, 2, 9 * 7 - 5 * 4),  # rows 0, 2, 4, 6, 8; columns 0, 2, 4, 6
        (3, 1, 1, 1, 0),
    ],
)
def test_inputs_that_a_stride_skips_are_not_read(
    kernel: int, stride: int, padding: int, dilation: int, skipped: int
) -> None:
    conv = nn.Conv2d(3, 4, kernel, stride, padding, dilation, bias=False)
    x = torch.zeros(2, 3, 9, 7, requires_grad=True)
    y = conv(x)
    with torch.no_grad():
        conv.weight.fill_(1)
    (gradient,) = torch.autograd.grad(conv(x).sum(), x)
    assert int((gradient == 0).sum()) == 2 * 3 * skipped  # as autograd sees it
    cost = count(conv, (2, 3, 9, 7))
    read = x.numel() - 2 * 3 * skipped
    assert cost.work(4) == [(cost.macs, 4 * (read + conv.weight.numel() + y.numel()))]
    assert cost.bytes_moved == 4 * (x.numel() + conv.weight.numel() + y.numel())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.scaled_dot_product_attention(x, x[..., :3, :], x[..., :3, :4]),
        lambda x: torch.stack([x, x], -2),
        lambda x: torch.stack((x, x, x), dim=1),
        lambda x: x.var((2, 3), keepdim=True),
        lambda x: x.std(1),
        lambda x: x.var(),
        lambda x: torch.var(x, False),
        lambda x: x.norm(p=2, dim=(1, 2), keepdim=True),
        lambda x: torch.linalg.vector_norm(x, 1, dim=-1),
        lambda x: x.amax((2, 3), keepdim=True) + x.amin(),
        lambda x: torch.maximum(x, x[:1]).erf().sin().cos().reciprocal(),
    ],
)
def test_shapes_and_products_are_torchs(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(2, 5, 7, 6)
    cost = count(Applied(function), tuple(x.shape))
    with FlopCounterMode(display=False) as counter:
        result = function(x)
    assert cost.ops[-1].call.output == result.shape
    assert cost.totals["conv-linear"].macs * 2 == counter.get_total_flops()
    assert not cost.totals["conv-linear"].unsupported
