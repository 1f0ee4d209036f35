"""Gates and attention over channels compute the same on a pooled pair as in the vanilla network."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Body, with_identity_mcs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.api import explain_placement
from sfic_bench.convert import fuse, parity, to_sfic
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import Stage1, Stage2


class Gate(nn.Module):
    """A gate over ``channels``; the subclasses define how it is computed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels


class Convolutions(Gate):
    """Squeeze-and-excite as timm has it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.down, self.up = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        gated: Tensor = x * gate + F.hardsigmoid(gate) * x
        return gated


class Linears(Gate):
    """Squeeze-and-excite as its authors' port to PyTorch has it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.pool, self.layers = (
            nn.AdaptiveAvgPool2d(1),
            nn.Sequential(
                nn.Linear(channels, 3, bias=False),
                nn.ReLU(),
                nn.Linear(3, channels, bias=False),
                nn.Sigmoid(),
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = self.pool(x).view(b, c)
        y = self.layers(y).view(b, c, 1, 1)
        gated: Tensor = x * y.expand_as(x)
        return gated


class Neighbours(Gate):
    """ECA: a convolution along the channels, whose order therefore matters."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.mix = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean((2, 3)).view(x.shape[0], 1, -1)
        y = self.mix(y).sigmoid().view(x.shape[0], -1, 1, 1)
        gated: Tensor = x * y.expand_as(x)
        return gated


class NeighboursBySqueezing(Neighbours):
    """ECA as its authors have it."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.adaptive_avg_pool2d(x, 1)
        y = self.mix(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        gated: Tensor = x * torch.sigmoid(y).expand_as(x)
        return gated


class Normalised(Gate):
    """A gate with a softmax and a norm over all channels, which no branch has by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv, self.norm = nn.Conv2d(channels, channels, 1), nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x + x * self.norm(self.conv(F.adaptive_avg_pool2d(x, (1, 1)))).softmax(1)
        return gated


class Shared(Gate):
    """CBAM's gate over channels: one perceptron for the mean and for the maximum."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.layers = nn.Sequential(nn.Conv2d(channels, 3, 1), nn.ReLU(), nn.Conv2d(3, channels, 1))
        self.average, self.maximum = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * torch.sigmoid(self.layers(self.average(x)) + self.layers(self.maximum(x)))
        return gated


class Scaled(Gate):
    """A gate that is computed with the number of channels, which no branch has by itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.mean((2, 3), keepdim=True) * x.shape[1] / (x.size(2) * x.dim())).sigmoid()


GATES: tuple[Callable[[int], Gate], ...] = (
    *(Convolutions, Linears, Neighbours, NeighboursBySqueezing, Normalised, Shared, Scaled),
)


@pytest.mark.parametrize("make", GATES)
@settings(max_examples=10)
@given(
    alpha=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    beta=st.floats(0.2, 1),
    channels=st.integers(2, 9),
    seed=st.integers(0, 99),
)
def test_a_gate_computes_what_vanillas_computes(
    make: Callable[[int], Gate], alpha: float, beta: float, channels: int, seed: int
) -> None:
    torch.manual_seed(seed)
    vanilla = Body(make(channels), channels).double().eval()
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(with_identity_mcs(to_sfic(vanilla, alpha=alpha, beta=1.0))(x), vanilla(x))
    sfic = to_sfic(vanilla, alpha=alpha, beta=beta)
    assert isinstance(sfic.get_submodule("first"), Stage1) and isinstance(sfic.get_submodule("next"), Stage2)
    assert parity(vanilla, sfic).unexplained == 0
    torch.testing.assert_close(fuse(sfic)(x), sfic(x))
    trainable = fuse(sfic, for_training=True)
    trainable.load_state_dict(sfic.state_dict())
    torch.testing.assert_close(trainable(x), sfic(x))
    sfic(x).sum().backward()
    assert all(p.grad is not None for p in sfic.parameters())


def test_a_gate_is_explained() -> None:
    explanation = explain_placement(Body(Linears(8), 8))
    (join,) = (o for o in explanation.operations if o.role == "join")
    assert (join.path, join.operation, join.note) == (
        "middle",
        ".view()",
        "a pooled pair: exact, and at no cost",
    )
    assert [o.operation for o in explanation.operations if o.role == "divide"] == [".view()"]


def test_attention_over_places_is_no_gate_over_channels() -> None:
    class Places(Gate):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(1, keepdim=True).sigmoid()

    with pytest.raises(UnsupportedModel, match=r"node 'mean' \(middle\).*mean\(\) has no meaning on a pair"):
        to_sfic(Body(Places(6), 6), alpha=0.5, beta=0.5, on_unsupported="error")
