"""What is read from the code of a convolution module: how it pads, and what makes it none that a stage stands for."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.computed import Standardised, hooked_weight_norm, weight_norm
from helpers.networks import Body, randomised, with_identity_mcs
from torch import Tensor, nn

from sfic_bench.convert import Placement, fuse, graph_of, to_sfic
from sfic_bench.convert.conv_code import code_of
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks.head import head_modules

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils:FutureWarning")


Code = Callable[[nn.Conv2d, Tensor], Tensor]


class Own(nn.Conv2d):
    """A convolution whose code is the function ``code`` of itself and its input."""

    def __init__(self, code: Code) -> None:
        super().__init__(4, 4, 3)
        self.register_buffer("steps", torch.zeros(()))
        self.code = code

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self, x)


def depends_on_input(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight * x.mean(), conv.bias)


def goes_on(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return nn.Conv2d.forward(conv, x) * 2


def reads_more(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x.square(), conv.weight, conv.bias)


def differs_in_training(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight * (2 if conv.training else 1), conv.bias)


def counts_in_place(conv: nn.Conv2d, x: Tensor) -> Tensor:
    conv.get_buffer("steps").add_(1)
    return nn.Conv2d.forward(conv, x)


def counts(conv: nn.Conv2d, x: Tensor) -> Tensor:
    conv.steps = conv.get_buffer("steps") + 1
    return nn.Conv2d.forward(conv, x)


def sets_data(conv: nn.Conv2d, x: Tensor) -> Tensor:
    conv.weight.data = conv.weight.data / 2
    return nn.Conv2d.forward(conv, x)


def branches_on_values(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight if conv.weight.mean() > 0 else -conv.weight, conv.bias)


def widens(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, torch.cat((conv.weight, conv.weight)))


def needs_values(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight * conv.weight.max().item(), conv.bias)


def pads_unevenly(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(F.pad(x, (0, 2, 0, 2)), conv.weight, conv.bias)


REFUSED: dict[Code, str] = {
    depends_on_input: "the weight of Own depends on its input",
    goes_on: "Own computes something else than a Conv2d",
    reads_more: "Own computes something else than a Conv2d of its input",
    differs_in_training: "Own does something else in training than in evaluation",
    counts_in_place: "Own changes tensors of its own at each call",
    counts: "Own sets its own parameters or buffers at each call",
    sets_data: "Own sets its own parameters or buffers at each call",
    branches_on_values: "cannot trace how Own computes its weight: TraceError",
    widens: r"Own computes a weight \(8, 4, 3, 3\), expected \(4, 4, 3, 3\)",
    needs_values: "cannot compute the weight of Own: RuntimeError",
    pads_unevenly: r"padding by \[0, 2, 0, 2\] .* is neither even nor 'same'",
}


@pytest.mark.parametrize("code", REFUSED, ids=[code.__name__ for code in REFUSED])
def test_what_no_stage_stands_for_is_refused_with_the_reason(code: Code, capfd: pytest.CaptureFixture[str]) -> None:
    conv = Own(code)
    state = {name: value.clone() for name, value in conv.state_dict().items()}
    with pytest.raises(UnsupportedModel, match=rf"node 'middle' \(middle\) cannot be converted: {REFUSED[code]}"):
        to_sfic(Body(conv, channels=4), alpha=0.5, beta=0.5, on_unsupported="error")
    assert all(torch.equal(value, state[name]) for name, value in conv.state_dict().items())
    assert isinstance(conv.weight, nn.Parameter) and conv.training and capfd.readouterr() == ("", "")


def test_code_may_ask_for_shapes_and_the_mode_and_compute_with_numbers() -> None:
    def scaled(conv: nn.Conv2d, x: Tensor) -> Tensor:
        if conv.training and conv.weight.dim() != 4:
            raise ValueError
        height, width = conv.weight.shape[2:]
        by = math.sqrt(2 / conv.weight[0].numel()) / (height * width)
        return F.conv2d(x, conv.weight * by * torch.ones(height, width).tril(), conv.bias)

    conv = Own(scaled)
    assert conv.bias is not None
    computed = code_of(conv).computed
    assert computed is not None
    weight, bias = computed.source(conv, bias=True, share=False)()
    torch.testing.assert_close(weight, conv.weight * math.sqrt(2 / 36) / 9 * torch.ones(3, 3).tril())
    assert bias is not conv.bias and torch.equal(bias, conv.bias)


class SamePadded(nn.Conv2d):
    """Pads its input for a size of ceil(n / stride), as networks that come from TensorFlow do."""

    def forward(self, x: Tensor) -> Tensor:
        amounts: list[int] = []
        for n, k, s, d in zip(x.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True):
            total = max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
            amounts = [total // 2, total - total // 2, *amounts]
        result: Tensor = F.conv2d(F.pad(x, amounts), self.weight, self.bias, self.stride, 0, self.dilation)
        return result


class PaddedByAModule(nn.Conv2d):
    """Pads by a module, for inputs of one size."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__(c_in, c_out, kernel, stride)
        self.pad = nn.ZeroPad2d((kernel // 2 - stride + 1, kernel // 2) * 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.pad(x))


@pytest.mark.parametrize(
    ("conv", "padding"),
    [
        (SamePadded(4, 4, 3, 2), 1),
        (SamePadded(4, 4, 3, 3), 1),
        (SamePadded(4, 4, 5, 2), 2),
        (SamePadded(4, 4, 1, 2), 0),
        (SamePadded(4, 4, 7, 4), 3),
        (SamePadded(4, 4, 3, 1, dilation=2), 2),
        (PaddedByAModule(4, 4, 3, 2), 1),
        (PaddedByAModule(4, 4, 5, 1), 2),
        (Own(lambda conv, x: F.conv2d(F.pad(x, (2, 2, 1, 1)), conv.weight, None, 2, 1)), (2, 3)),
        (nn.Conv2d(4, 4, 5, padding="same"), 2),
        (nn.Conv2d(4, 4, 5, padding="valid"), 0),
    ],
)
def test_padding_is_read_from_the_code(conv: nn.Conv2d, padding: int | tuple[int, int]) -> None:
    code = code_of(conv)
    assert code.padding == (padding if isinstance(padding, tuple) else (padding, padding))
    assert code.computed is None


class StandardisedAndPadded(SamePadded):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean()
        result: Tensor = F.conv2d(F.pad(x, (2, 2, 2, 2)), weight, self.bias)
        return result


def test_padding_by_the_module_and_a_computed_weight() -> None:
    vanilla = randomised(Body(StandardisedAndPadded(12, 12, 5)))
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(with_identity_mcs(to_sfic(vanilla, alpha=0.5, beta=1.0))(x), vanilla(x))
    torch.testing.assert_close(fuse(vanilla)(x), vanilla(x))


def test_stage_1_does_not_divide_groups_whose_weight_is_computed() -> None:
    vanilla = Body(Standardised(12, 12, 3, padding=1, groups=4))
    with pytest.raises(UnsupportedModel, match="would divide the 4 groups of Standardised, which computes its weight"):
        placement = Placement(stage1=("middle",), stage3=("last",))
        to_sfic(vanilla, alpha=0.5, beta=0.5, placement=placement, on_unsupported="error")


def test_a_batchnorm_is_not_folded_into_parameters_that_a_weight_is_computed_from() -> None:
    for make in (Standardised, weight_norm, hooked_weight_norm):
        torch.manual_seed(0)
        vanilla = randomised(nn.Sequential(make(3, 4, 3), nn.BatchNorm2d(4)))
        x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
        fused = fuse(vanilla)
        torch.testing.assert_close(fused(x), vanilla(x))
        assert type(fused.get_submodule("0")) is nn.Conv2d and not hasattr(fused, "1")


def test_logits_of_a_computed_convolution_are_a_head() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), weight_norm(4, 2, 1))
    placement = Placement(stage1=("1",), stage3=("2",))
    for model in (network, to_sfic(network, alpha=0.5, beta=0.5, placement=placement)):
        assert head_modules(model) == ("2",)


class ScaledInPlace(nn.Module):
    """A residual block whose branch is scaled in place, without reading what that returns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gain = nn.Conv2d(12, 12, 1), nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        out.mul_(self.gain)
        F.relu(out, inplace=True)
        result: Tensor = out * 0.5 + x
        return result


def test_a_change_in_place_counts_even_if_its_result_is_not_read() -> None:
    vanilla = randomised(Body(ScaledInPlace()))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(graph_of(vanilla)(x), vanilla(x))
    sfic = with_identity_mcs(to_sfic(vanilla, alpha=0.5, beta=1.0))
    torch.testing.assert_close(sfic(x), vanilla(x))
    smaller = to_sfic(vanilla, alpha=0.5, beta=0.5)
    torch.testing.assert_close(fuse(smaller)(x), smaller(x))
