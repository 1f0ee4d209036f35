"""A fused network equals the unfused one for any α, β, size and stride: results, gradients and state."""

import copy

import torch
from helpers.networks import randomised
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.convert import Placement, fuse, to_sfic
from sfic_bench.nn import Pair, Split, Stage2, scaled_size
from sfic_bench.nn.fused import ReducedStage2

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
        # This is the unfused network's loss in its worst tensor: a gradient that cancels may lose all its digits.
        allowed = max(SINGLE, FACTOR * max(error(expected[name], value) for name, value in exact.items()))
    for name, value in exact.items():
        assert error(got[name], value) <= allowed, name


def test_a_gradient_that_cancels() -> None:
    """In training, a normalised channel's weight has a gradient near 0, of which rounding leaves nothing."""
    for seed in range(100):
        exact, expected, got = outcomes(0.5, 1.0, 1, 1, 1, (5, 5), False, torch.float32, True, seed)
        lost = max(error(expected[name], value) for name, value in exact.items())
        for name, value in exact.items():
            assert error(got[name], value) <= max(SINGLE, FACTOR * lost), (seed, name)


EXACT = 1e-10
"""The largest `error` that is allowed to a fused network in float64."""

SINGLE = 1e-5
"""The largest `error` that is allowed in float32, where the unfused network itself loses next to nothing."""

FACTOR = 10
"""How many times the unfused network's `error` in float32 is allowed, since fusing changes the order of additions."""


def error(got: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest value or to 1, whichever is larger."""
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
    """Results, gradients and states of the unfused network in float64 and in ``dtype``, and of the fused one."""
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
    tensors = {"result": result.detach(), "gradient of x": x.grad}
    if for_training:
        tensors |= {f"gradient of {name}": g for name, g in gradients(model).items()}
        tensors |= {name: value.detach() for name, value in model.state_dict().items()}  # with running statistics
    return tensors


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Gradients under the unfused names, which a state dict gives once they stand where the parameters are."""
    holder = copy.deepcopy(model)
    for (_, p), q in zip(model.named_parameters(), holder.parameters(), strict=True):
        q.data = torch.zeros_like(p) if p.grad is None else p.grad.clone()
    return {k: v for k, v in holder.state_dict().items() if not k.endswith(("running_mean", "running_var", "tracked"))}


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
