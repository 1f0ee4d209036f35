"""Fusing whole networks: results, costs, and operations between fused stages."""

import copy

import pytest
import torch
from helpers.networks import Chain, Residual, randomised
from torch import Tensor, nn

from sfic_bench.convert import Placement, fuse, parity, set_beta, to_sfic
from sfic_bench.counting import count
from sfic_bench.networks import registry
from sfic_bench.nn import MCSConv, PerBranch, Stage2, Stage3
from sfic_bench.nn.fused import Dense, ReducedStage1, ReducedStage2

REPEATING = ("resnet101", "resnet152", "vgg16", "vgg19")
"""They repeat the blocks of smaller networks."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.thorough] if n in REPEATING else []) for n in registry.names()]
)
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 1.0), (0.25, 0.5), (0.5, 0.75), (0.0, 0.5), (1.0, 0.5)])
def test_whole_networks(name: str, alpha: float, beta: float) -> None:
    vanilla = randomised(registry.build(name))
    reference = to_sfic(vanilla, alpha=alpha, beta=beta)
    fused = fuse(reference)
    x = torch.randn(1, 3, 70, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), reference(x), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(fuse(vanilla)(x), vanilla(x), rtol=1e-10, atol=1e-10)
    assert not any(isinstance(m, MCSConv) for m in fused.modules())  # its kernels are computed once
    # DenseNet's norms stand before convolutions, behind concatenations.
    assert name == "densenet121" or not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())


def test_at_beta_1_there_are_no_pairs_left() -> None:
    fused = fuse(to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=1.0))
    kinds = {type(m) for m in fused.modules()}
    assert not kinds & {Stage2, Stage3, PerBranch, ReducedStage2, nn.BatchNorm2d}
    assert {Dense, ReducedStage1} <= kinds


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("beta", [0.25, 0.5])
def test_stage_2_costs_what_the_method_says(alpha: float, beta: float) -> None:
    """Every Stage 2 of SFIC-ResNet26 costs (1−α)² + β²(1 − (1−α)²) of the vanilla convolution."""
    vanilla = registry.build("resnet26", device="meta")
    fused = fuse(to_sfic(vanilla, alpha=alpha, beta=beta))
    stages = {name for name, m in fused.named_modules() if isinstance(m, ReducedStage2)}
    # layer1: conv2, conv3, shortcut + 3; layer2 and layer3: 4 + 3 each; layer4.0: conv1, conv2.
    assert len(stages) == 6 + 7 + 7 + 2
    shape = (1, 3, 256, 256)
    ours = {layer.path: layer.macs for layer in count(fused, shape).layers() if layer.macs}
    theirs = {layer.path: layer.macs for layer in count(vanilla, shape).layers() if layer.macs}
    expected = (1 - alpha) ** 2 + beta**2 * (1 - (1 - alpha) ** 2)
    for name in stages:
        if name != "layer1.0.downsample.0":
            parts = sum(macs for path, macs in ours.items() if path == name or path.startswith(f"{name}."))
            assert parts / theirs[name] == pytest.approx(expected, rel=1e-12)


def test_fusing_never_adds_macs() -> None:
    for name in registry.names():
        vanilla = registry.build(name, device="meta")
        for beta in (0.25, 0.6, 1.0):
            sfic = to_sfic(vanilla, alpha=0.5, beta=beta)
            assert count(fuse(sfic), (1, 3, 97, 64)).macs <= count(sfic, (1, 3, 97, 64)).macs


def test_the_model_is_left_as_it_was() -> None:
    reference = to_sfic(registry.build("resnet26"), alpha=0.5, beta=0.5).train()
    before = copy.deepcopy(reference.state_dict())
    modules = {n: type(m) for n, m in reference.named_modules()}
    fused = fuse(reference)
    with torch.no_grad():
        for p in fused.parameters():
            p.zero_()
    assert {n: type(m) for n, m in reference.named_modules()} == modules
    assert all(m.training for m in reference.modules())
    for key, value in reference.state_dict().items():
        assert torch.equal(value, before[key])


def test_functions_on_joined_tensors() -> None:
    vanilla = Residual(lambda a, b, _: a + b).double()
    placement = Placement(stage1=("b",), stage3=("d",))
    reference = to_sfic(vanilla, alpha=0.3, beta=1.0, placement=placement)
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(fuse(reference)(x), reference(x))


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_one_channel_for_all_channels_of_a_pair(beta: float) -> None:
    """A gate over places that is computed from the single tensor in front of Stage 1."""
    vanilla = Residual(lambda a, b, first: a * first.mean(1, keepdim=True)).double()
    placement = Placement(stage1=("b",), stage3=("d",))
    reference = to_sfic(vanilla, alpha=0.3, beta=beta, placement=placement)
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(fuse(reference)(x), reference(x))


def test_sums_behind_a_stage() -> None:
    """The pair from a stage is added to another on either side, to itself, and to one that is read again."""
    for beta in (0.25, 0.5, 0.7):
        for combine in (
            lambda a, b, _: a + b,
            lambda a, b, _: b + a,
            lambda a, b, _: a + a,
            lambda a, b, _: (a + b) + a,
        ):
            vanilla = Residual(combine).double()
            placement = Placement(stage1=("b",), stage3=("d",))
            reference = to_sfic(vanilla, alpha=0.3, beta=beta, placement=placement)
            x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
            torch.testing.assert_close(fuse(reference)(x), reference(x))


def test_concatenated_pairs() -> None:
    class Concatenating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
            self.c, self.d = nn.Conv2d(6, 5, 3, padding=1), nn.Conv2d(11, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.b(self.a(x))
            last: Tensor = self.d(torch.cat([x, self.c(x)], 1))
            return last

    placement = Placement(stage1=("b",), stage3=("d",))
    for beta in (0.5, 1.0):
        reference = to_sfic(Concatenating().double(), alpha=0.4, beta=beta, placement=placement)
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(fuse(reference)(x), reference(x))


def test_parity_of_a_fused_network() -> None:
    vanilla = registry.build("resnet26", device="meta")
    sfic = to_sfic(vanilla, alpha=0.5, beta=0.5)
    fused = fuse(sfic, for_training=True)
    assert sum(p.numel() for p in fused.parameters()) == parity(vanilla, sfic).sfic


def test_beta_of_a_fused_network() -> None:
    reference = to_sfic(randomised(registry.build("resnet26")), alpha=0.5, beta=0.25)
    fused = fuse(reference)
    set_beta(reference, 0.5)
    set_beta(fused, 0.5)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(fused(x), reference(x))
    joined = fuse(to_sfic(Chain(), alpha=0.5, beta=1.0))
    set_beta(joined, 1.0)
    with pytest.raises(ValueError, match="fuse it anew"):
        set_beta(joined, 0.5)


def test_weights_are_shared_only_for_counting() -> None:
    reference = to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=0.5)
    shared = fuse(reference, for_training=True, share=True)
    copied = fuse(reference, for_training=True)
    shape = (1, 3, 64, 64)
    assert count(shared, shape).macs == count(copied, shape).macs
    with pytest.raises(ValueError, match="for_training"):
        fuse(reference, share=True)
