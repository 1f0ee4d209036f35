"""Networks whose Stage 2 calls the operator: equal to the others, and what becomes part of a stage."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Residual, randomised
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.choices import Kernels
from sfic_bench.convert import Placement, fuse, to_sfic
from sfic_bench.errors import UnknownName
from sfic_bench.kernels import Activation, KernelStage2, takes
from sfic_bench.networks import registry
from sfic_bench.nn import Pair, Split, Stage2
from sfic_bench.nn.fused import ReducedStage2


def stages(network: nn.Module) -> list[KernelStage2]:
    return [m for m in network.modules() if isinstance(m, KernelStage2)]


class Blocks(nn.Module):
    """A stem, Stage 1, a residual block that begins with a stride, a depthwise convolution, and Stage 3."""

    def __init__(self, kernel: int, bias: bool, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()

        def conv(c_in: int, c_out: int, stride: int = 1, groups: int = 1, k: int = kernel) -> nn.Sequential:
            convolution = nn.Conv2d(c_in, c_out, k, stride, padding=k // 2, groups=groups, bias=bias)
            return nn.Sequential(convolution, nn.BatchNorm2d(c_out))

        self.stem, self.first = conv(3, 8), conv(8, 16)
        self.second, self.third, self.shortcut = conv(16, 32, 2), conv(32, 32), conv(16, 32, 2, k=1)
        self.depthwise, self.last = conv(32, 32, groups=32), conv(32, 5)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(self.act(self.stem(x))))
        x = self.act(self.third(self.act(self.second(x))) + self.shortcut(x))
        return self.last(self.act(self.depthwise(x))).flatten(1)  # type: ignore[no-any-return]


@settings(max_examples=40)
@given(
    beta=st.one_of(st.sampled_from([0.25, 0.5, 0.75]), st.floats(0.05, 0.99)),
    alpha=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    kernel=st.sampled_from([1, 3, 5]),
    size=st.tuples(st.integers(5, 30), st.integers(5, 30)),
    bias=st.booleans(),
    activation=st.sampled_from([nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU]),
    seed=st.integers(0, 9999),
)
def test_any_network(
    beta: float, alpha: float, kernel: int, size: tuple[int, int], bias: bool, activation: type[nn.Module], seed: int
) -> None:
    torch.manual_seed(seed)
    vanilla = randomised(Blocks(kernel, bias, activation))
    reference = to_sfic(vanilla, alpha=alpha, beta=beta).eval()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    fused = fuse(reference, kernels="auto")
    with torch.no_grad():
        torch.testing.assert_close(fused(x), reference(x), rtol=1e-9, atol=1e-9)
    # At α = .25 the 16 channels in front of two stages are 12 and 4.
    assert len(stages(fused)) == {0.0: 0, 0.25: 1, 0.5: 3, 0.75: 1, 1.0: 0}[alpha]
    activations = [stage.activation for stage in stages(fused)]
    if alpha == 0.5:
        own = Activation.made_by(activation()) or Activation.NONE
        # ``second``, ``shortcut``, and ``third`` with the sum in it.
        assert sorted(activations) == sorted([own, Activation.NONE, own])


@pytest.mark.parametrize("beta", [0.5, 0.7])
def test_training_gives_the_same_gradients_and_names(beta: float) -> None:
    reference = to_sfic(randomised(Blocks(3, bias=True)), alpha=0.5, beta=beta).train()
    fused = fuse(reference, for_training=True, kernels="auto")
    assert len(stages(fused)) == 3 and {s.activation for s in stages(fused)} == {Activation.NONE}
    x = torch.randn(3, 3, 18, 22, dtype=torch.float64)
    for network in (reference, fused):
        network(x).square().sum().backward()
    gradients = dict(fused.named_parameters())
    for name, p in reference.named_parameters():
        if name in gradients:
            torch.testing.assert_close(gradients[name].grad, p.grad, rtol=1e-8, atol=1e-8)
    assert sum(name in gradients for name, _ in reference.named_parameters()) > 20
    other = fuse(to_sfic(Blocks(3, bias=True).double(), alpha=0.5, beta=beta), for_training=True)
    other.load_state_dict(fused.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(x), fused.eval()(x))


Combine = Callable[[Tensor, Tensor, Tensor], Tensor]


@pytest.mark.parametrize("beta", [0.25, 0.5, 0.7])
@pytest.mark.parametrize(
    ("combine", "activation"),
    [
        (lambda a, b, _: F.relu(a + b), Activation.RELU),
        (lambda a, b, _: torch.relu(b + a), Activation.RELU),
        (lambda a, b, _: F.silu(a) + b, Activation.SILU),  # the sum behind the activation stays a sum
        (lambda a, b, _: F.relu(F.silu(a)), Activation.SILU),
        (lambda a, b, _: F.relu6(a), Activation.RELU6),
        (lambda a, b, _: F.relu(a) + a, Activation.NONE),  # what is read twice stays as it is
        (lambda a, b, _: F.relu(a + b) + a, Activation.NONE),
        (lambda a, b, _: F.leaky_relu(a), Activation.NONE),
        (lambda a, b, _: F.relu(a + a), Activation.NONE),
    ],
)
def test_what_becomes_part_of_a_stage(combine: Combine, activation: Activation, beta: float) -> None:
    vanilla = Residual(combine, channels=16).double()
    placement = Placement(stage1=("b",), stage3=("d",))
    reference = to_sfic(vanilla, alpha=0.5, beta=beta, placement=placement)
    fused = fuse(reference, kernels=Kernels.AUTO)
    assert [stage.activation for stage in stages(fused)] == [activation]
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(fused(x), reference(x))


def test_a_stage_that_is_called_twice_has_no_activation_of_its_own() -> None:
    class Twice(Residual):
        def forward(self, x: Tensor) -> Tensor:
            pair = self.b(self.a(x))
            last: Tensor = self.d(F.relu(self.c(self.c(pair))))
            return last

    placement = Placement(stage1=("b",), stage3=("d",))
    reference = to_sfic(Twice(lambda a, b, _: a, channels=16).double(), alpha=0.5, beta=0.5, placement=placement)
    fused = fuse(reference, kernels=Kernels.AUTO)
    assert [stage.activation for stage in stages(fused)] == [Activation.NONE]
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(fused(x), reference(x))


def test_a_residual_of_another_size_is_added_before_the_activation() -> None:
    """F of the two terms differ by a pixel: 2·3 − 1 where a stride halves an odd size, and 3 · 2."""
    stage = KernelStage2(Stage2(Split(8, 8), Split(8, 8), 3, padding=1).double())
    stage.activation = Activation.RELU
    pair = [torch.randn(1, 8, *size, dtype=torch.float64) for size in ((12, 12), (5, 5))]
    residual = [torch.randn(1, 8, *size, dtype=torch.float64) for size in ((12, 12), (6, 6))]
    result = stage(Pair(*pair), Pair(*residual))
    plain = ReducedStage2(Stage2(Split(8, 8), Split(8, 8), 3, padding=1).double())
    plain.load_state_dict(stage.state_dict())
    right = plain(Pair(*pair), Pair(*residual))
    for one, other in zip(result, right, strict=True):
        torch.testing.assert_close(one, other.relu())


EVEN = Split(16, 16)


def made(inputs: Split = EVEN, outputs: Split = EVEN, kernel: Sequence[int] | int = 3, **options: object) -> Stage2:
    padding = options.pop("padding", 1)
    return Stage2(inputs, outputs, kernel, padding=padding, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "is_taken"),
    [
        (made(), True),
        (made(kernel=(1, 7), padding=(0, 3)), True),
        (made(stride=2, bias=True), True),  # a pool in front of the convolutions
        (made(outputs=Split(24, 8)), True),
        (made(outputs=Split(20, 12)), False),
        (made(inputs=Split(12, 20)), False),
        (made(inputs=Split(0, 32)), False),
        (made(groups=32), False),
        (made(padding=0), False),
        (made(padding=2, dilation=2), False),
        (made(kernel=2, padding=1), False),
        (made(stride=2, padding=0), False),  # rows are cut off in front of the convolutions
    ],
)
def test_conditions(stage: Stage2, is_taken: bool) -> None:
    assert takes(stage) == is_taken


def test_kernels_are_chosen_by_name() -> None:
    reference = to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=0.5)
    assert len(stages(fuse(reference, kernels="auto"))) == 22 and not stages(fuse(reference))
    with pytest.raises(UnknownName, match=r"unknown value of kernels 'cuda'; .*known: none, auto"):
        fuse(reference, kernels="cuda")


def test_a_copy_of_a_network_keeps_its_activations() -> None:
    fused = fuse(to_sfic(Blocks(3, bias=False), alpha=0.5, beta=0.5).eval(), kernels="auto")
    x = torch.randn(1, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(fused)(x), fused(x))
