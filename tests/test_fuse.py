import copy
import weakref

import pytest
import torch
from helpers.networks import Chain, Residual, randomised
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.convert import Placement, fuse, parity, set_beta, to_sfic
from sfic_bench.counting import count
from sfic_bench.networks import registry
from sfic_bench.nn import MCSConv, Pair, PerBranch, Split, Stage2, Stage3, scaled_size
from sfic_bench.nn.fused import Dense, ReducedStage1, ReducedStage2
from sfic_bench.nn.recompute import Derived

ratios = {
    "alpha": st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)),
    "beta": st.one_of(st.sampled_from([0.25, 0.5, 1.0]), st.floats(0.05, 1)),
}


class Stages(nn.Module):
    """Stage 1, three Stages 2 (one strided, one depthwise) and Stage 3, with norms and a residual sum."""

    def __init__(self, channels: int, kernel: int, stride: int, bias: bool) -> None:
        super().__init__()

        def conv(c_in: int, c_out: int, stride: int = 1, groups: int = 1, k: int = kernel) -> nn.Conv2d:
            return nn.Conv2d(c_in, c_out, k, stride, padding=k // 2, groups=groups, bias=bias)

        self.head = conv(3, 4)
        self.first = conv(4, channels)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = conv(channels, 2 * channels, stride)
        self.second_norm = nn.BatchNorm2d(2 * channels)
        self.shortcut = conv(channels, 2 * channels, stride, k=1)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.depthwise = conv(2 * channels, 2 * channels, groups=2 * channels)
        self.depthwise_norm = nn.BatchNorm2d(2 * channels)
        self.last = conv(2 * channels, 5, stride)
        self.last_norm = nn.BatchNorm2d(5)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first_norm(self.first(self.head(x))))
        x = self.act(self.second_norm(self.second(x)) + self.shortcut(x))
        x = self.act(self.depthwise_norm(self.depthwise(self.pool(x))))
        result: Tensor = self.last_norm(self.last(x)).flatten(1)
        return result


@settings(max_examples=60)
@given(
    **ratios,
    channels=st.integers(1, 7),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    size=st.integers(5, 34),
    width=st.integers(5, 34),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    for_training=st.booleans(),
    seed=st.integers(0, 9999),
)
def test_fused_is_the_reference(
    alpha: float,
    beta: float,
    channels: int,
    kernel: int,
    stride: int,
    size: int,
    width: int,
    bias: bool,
    dtype: torch.dtype,
    for_training: bool,
    seed: int,
) -> None:
    exact, expected, got = outcomes(
        alpha, beta, channels, kernel, stride, (size, width), bias, dtype, for_training, seed
    )
    assert set(got) == set(expected) == set(exact)
    allowed = EXACT
    if dtype == torch.float32:
        # What this case loses in float32 as drawn, in its worst tensor: a gradient that cancels may lose all of its digits.
        allowed = max(SINGLE, FACTOR * max(off(expected[name], value) for name, value in exact.items()))
    for name, value in exact.items():
        assert off(got[name], value) <= allowed, name


def test_a_gradient_that_cancels() -> None:
    """One channel and a 1×1 kernel in training: a normalised channel's weight has a gradient near 0, whatever is left of it."""
    for seed in range(100):
        exact, expected, got = outcomes(0.5, 1.0, 1, 1, 1, (5, 5), False, torch.float32, True, seed)
        lost = max(off(expected[name], value) for name, value in exact.items())
        for name, value in exact.items():
            assert off(got[name], value) <= max(SINGLE, FACTOR * lost), (seed, name)


EXACT = 1e-10
"""Of float64: how far a fused network may be off the unfused one, see `off`."""

SINGLE = 1e-5
"""Of float32, where float32 itself loses next to nothing."""

FACTOR = 10
"""Of float32: how much more the order of additions may lose than the unfused network does on the same input."""


def off(got: Tensor, exact: Tensor) -> float:
    """The largest error over the largest value, or over 1 where that is more."""
    if not exact.numel():
        return 0.0
    return float((got.double() - exact).abs().max() / max(1.0, float(exact.abs().max())))


def outcomes(
    alpha: float,
    beta: float,
    channels: int,
    kernel: int,
    stride: int,
    size: tuple[int, int],
    bias: bool,
    dtype: torch.dtype,
    for_training: bool,
    seed: int,
) -> tuple[dict[str, Tensor], ...]:
    """Result, gradients and state: of the network as drawn in float64, as drawn in ``dtype``, and fused in ``dtype``."""
    torch.manual_seed(seed)
    vanilla = randomised(Stages(channels, kernel, stride, bias), seed).to(dtype)
    placement = Placement(stage1=("first",), stage3=("last",))
    reference = to_sfic(vanilla, alpha=alpha, beta=beta, placement=placement)
    fused = fuse(reference, for_training=for_training)
    x = torch.randn(3, 3, *size, dtype=dtype)
    with torch.no_grad():
        weights = torch.randn_like(reference.eval()(x))
    return tuple(
        outcome(model, x, weights, for_training) for model in (copy.deepcopy(reference).double(), reference, fused)
    )


def outcome(model: nn.Module, x: Tensor, weights: Tensor, for_training: bool) -> dict[str, Tensor]:
    x, weights = (t.to(next(model.parameters()).dtype) for t in (x, weights))
    x.requires_grad_()
    result = model.train(for_training)(x)
    (result * weights).sum().backward()
    assert x.grad is not None
    found = {"result": result.detach(), "gradient of x": x.grad}
    if for_training:  # running statistics too
        found |= {f"gradient of {name}": g for name, g in gradients(model).items()}
        found |= {name: value.detach() for name, value in model.state_dict().items()}
    return found


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Gradients under the unfused names: put them where the parameters are and ask for the state."""
    holder = copy.deepcopy(model)
    for (_, p), q in zip(model.named_parameters(), holder.parameters(), strict=True):
        q.data = torch.zeros_like(p) if p.grad is None else p.grad.clone()
    return {k: v for k, v in holder.state_dict().items() if not k.endswith(("running_mean", "running_var", "tracked"))}


@pytest.mark.parametrize("name", registry.names())
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


@pytest.mark.parametrize("name", ["resnet26", "vgg13", "mobilenet"])
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_state_dicts_go_both_ways(name: str, beta: float) -> None:
    reference = to_sfic(randomised(registry.build(name)), alpha=0.3, beta=beta)
    other = to_sfic(randomised(registry.build(name), seed=1), alpha=0.3, beta=beta)
    fused = fuse(other, for_training=True)
    assert set(fused.state_dict()) == set(reference.state_dict())
    fused.load_state_dict(reference.state_dict())
    for key, value in fused.state_dict().items():
        assert torch.equal(value, reference.state_dict()[key]), key
    other.load_state_dict(fused.state_dict())
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(other(x), reference(x), rtol=0, atol=0)
    torch.testing.assert_close(fused(x), reference(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        fused.load_state_dict({})


def test_training_fused_is_training_unfused() -> None:
    torch.manual_seed(0)
    reference = to_sfic(randomised(Chain()), alpha=0.5, beta=1.0).train()
    fused = fuse(reference, for_training=True)
    assert fused.training
    optimisers = [torch.optim.Adam(m.parameters(), lr=1e-2) for m in (reference, fused)]
    for _ in range(5):
        x = torch.randn(4, 3, 12, 12, dtype=torch.float64)
        for model, optimiser in zip((reference, fused), optimisers, strict=True):
            optimiser.zero_grad()
            model(x).square().mean().backward()
            optimiser.step()
    for key, value in reference.state_dict().items():
        torch.testing.assert_close(fused.state_dict()[key], value, rtol=1e-8, atol=1e-8)


def test_at_beta_1_there_are_no_pairs_left() -> None:
    fused = fuse(to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=1.0))
    kinds = {type(m) for m in fused.modules()}
    assert not kinds & {Stage2, Stage3, PerBranch, ReducedStage2, nn.BatchNorm2d}
    assert {Dense, ReducedStage1} <= kinds


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("beta", [0.25, 0.5])
def test_stage_2_costs_what_the_method_says(alpha: float, beta: float) -> None:
    """(1−α)² + β²(1 − (1−α)²) of vanilla, for every Stage 2 of SFIC-ResNet26."""
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


def test_fused_is_never_dearer() -> None:
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
    """Of a stage's pair with another on either side, with itself, and of one that is read again."""
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


@settings(max_examples=40)
@given(
    alpha=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    beta=st.sampled_from([0.25, 0.5, 0.7, 1.0]),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    size=st.integers(4, 13),
)
def test_a_stage_2_by_itself(alpha: float, beta: float, kernel: int, stride: int, size: int) -> None:
    inputs, outputs = Split.of(8, alpha), Split.of(12, alpha)
    stage = Stage2(inputs, outputs, kernel, padding=kernel // 2, stride=stride).double()
    scaled = scaled_size((size, size), beta)
    pair = Pair(
        torch.randn(2, inputs.spatial, size, size, dtype=torch.float64, requires_grad=True),
        torch.randn(2, inputs.frequency, *scaled, dtype=torch.float64, requires_grad=True),
    )
    fused = ReducedStage2(stage)
    assert list(fused.state_dict()) == list(stage.state_dict())
    for got, expected in zip(fused(pair), stage(pair), strict=True):
        torch.testing.assert_close(got, expected)
    results = []
    for layer in (stage, fused):
        loss = torch.stack([t.square().sum() for t in layer(pair)]).sum()
        branches = [t for t in pair if t.numel()]
        results.append(torch.autograd.grad(loss, [*branches, *layer.parameters()]))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)


def test_what_is_recomputed_is_not_kept() -> None:
    pool, conv = nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)
    x = torch.randn(1, 4, 12, 12, requires_grad=True)
    derived = Derived.of(x).then(pool)
    value = weakref.ref(derived.value)
    y = derived.into(conv)
    del derived
    assert value() is None
    (got,) = torch.autograd.grad(y.square().sum(), x)
    (expected,) = torch.autograd.grad(conv(pool(x)).square().sum(), x)
    torch.testing.assert_close(got, expected)


def test_recomputing_from_what_was_changed_is_refused() -> None:
    x = torch.randn(1, 4, 12, 12)
    y = Derived.of(x).then(nn.AvgPool2d(2)).into(nn.Conv2d(4, 4, 3))
    x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()  # type: ignore[no-untyped-call]  # torch declares no types for it


def test_a_fused_step_takes_no_more_memory() -> None:
    """Of what autograd keeps: at most the unfused network's, and below vanilla's at β < 1."""

    def kept(model: nn.Module) -> int:
        found: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            found[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        alive = model.train()(x)  # holds its graph, so that no address is given out twice
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            alive = model(x)
        assert alive.requires_grad
        weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
        return sum(size for address, size in found.items() if address not in weights)

    x = torch.randn(2, 3, 64, 64)
    vanilla = registry.build("resnet26")
    for beta in (0.5, 0.75, 1.0):
        reference = to_sfic(vanilla, alpha=0.5, beta=beta)
        fused = kept(fuse(reference, for_training=True))
        assert fused <= kept(reference)
        assert beta == 1 or fused < kept(vanilla)


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


def test_modes_of_a_network_fused_for_training() -> None:
    reference = to_sfic(Chain(), alpha=0.5, beta=1.0).train()
    reference.get_submodule("body.1").eval()
    fused = fuse(reference, for_training=True)
    assert {n for n, m in fused.named_modules() if not m.training} == {"body.1"}
    assert not any(m.training for m in fuse(reference).modules())


def test_sharing_is_for_looking_only() -> None:
    reference = to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=0.5)
    looked_at = fuse(reference, for_training=True, share=True)
    copied = fuse(reference, for_training=True)
    shape = (1, 3, 64, 64)
    assert count(looked_at, shape).macs == count(copied, shape).macs
    with pytest.raises(ValueError, match="for_training"):
        fuse(reference, share=True)
