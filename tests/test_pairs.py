"""Operations on a pair of branches: which are converted, and which are refused."""

import operator
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Applied, Body, same_size, with_identity_mcs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.convert import fuse, parity, to_sfic
from sfic_bench.convert.layout import Layout
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import Pair, Split
from sfic_bench.nn.adapters import Divide, Join
from sfic_bench.nn.grouped import GroupedStage2


def shuffle(x: Tensor) -> Tensor:
    b, c, h, w = x.size()
    return torch.transpose(x.view(b, 3, c // 3, h, w), 1, 2).contiguous().view(b, c, h, w)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.all = nn.Parameter(torch.rand(12, 1, 1)), nn.Parameter(torch.rand(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.all * (x * self.gamma) + 1


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = same_size(12, 5), same_size(17, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.a(x)], 1)
        return torch.cat((self.b(x), x), dim=1)


class Halves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = same_size(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        first, rest = torch.split(right, [2, 4], 1)
        return torch.cat([self.a(left), rest, x[:, 3:5], first], 1)


MIDDLES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "shuffle": (lambda: Applied(shuffle), 12),
    "scale": (Scaled, 12),
    "dense": (Dense, 21),
    "halves": (Halves, 14),
    "grouped": (lambda: same_size(12, 18, groups=3), 18),
    "groups that the split cuts": (lambda: nn.Sequential(same_size(12, 24, groups=2), Applied(shuffle)), 24),
    "depthwise": (lambda: same_size(12, 24, groups=12), 24),
    "pools": (
        lambda: Applied(lambda x: F.avg_pool2d(F.max_pool2d(x, 2, stride=1, padding=1), 3, 1, padding=1)),
        12,
    ),
    "upsampled": (lambda: nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), 12),
    "padded": (lambda: nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(12, 12, 3), nn.ReLU()), 12),
    "valid, asymmetric and dilated": (
        lambda: nn.Sequential(nn.Conv2d(12, 12, (1, 3)), nn.Conv2d(12, 12, (3, 1), dilation=2)),
        12,
    ),
    "same": (lambda: nn.Conv2d(12, 12, 3, padding="same"), 12),
}


@pytest.mark.parametrize("name", MIDDLES)
@pytest.mark.parametrize("alpha", [0.3, 0.5])
def test_operations_on_a_pair(name: str, alpha: float) -> None:
    make, out = MIDDLES[name]
    torch.manual_seed(0)
    vanilla = Body(make(), out=out).double().eval()
    x = torch.randn(2, 3, 12, 14, dtype=torch.float64)
    same = with_identity_mcs(to_sfic(vanilla, alpha=alpha, beta=1.0))
    torch.testing.assert_close(same(x), vanilla(x))
    for beta in (0.4, 1.0):
        sfic = to_sfic(vanilla, alpha=alpha, beta=beta)
        assert parity(vanilla, sfic).unexplained == 0
        assert sfic(x).shape == vanilla(x).shape
        torch.testing.assert_close(fuse(sfic)(x), sfic(x))
        trainable = fuse(to_sfic(vanilla, alpha=alpha, beta=beta), for_training=True)
        trainable.load_state_dict(sfic.state_dict())
        torch.testing.assert_close(trainable(x), sfic(x))
        assert set(trainable.state_dict()) == set(sfic.state_dict())
        sfic(x).sum().backward()
        reached = [p for n, p in sfic.named_parameters() if p.grad is not None]
        assert len(reached) == len(list(sfic.parameters()))


@settings(max_examples=50)
@given(
    groups=st.integers(2, 5),
    into=st.integers(2, 4),
    out=st.integers(1, 4),
    alpha=st.floats(0, 1),
    beta=st.sampled_from([0.5, 1.0]),
    stride=st.integers(1, 2),
)
def test_grouped_convolutions(groups: int, into: int, out: int, alpha: float, beta: float, stride: int) -> None:
    grouped = same_size(groups * into, groups * out, groups=groups, stride=stride)
    vanilla = Body(grouped, groups * into, groups * out).double()
    x = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    sfic = to_sfic(vanilla, alpha=alpha, beta=beta)
    assert parity(vanilla, sfic).unexplained == 0
    stage = sfic.get_submodule("middle")
    assert isinstance(stage, GroupedStage2)
    torch.testing.assert_close(fuse(sfic)(x), sfic(x))
    if stride == beta == 1:
        torch.testing.assert_close(with_identity_mcs(sfic)(x), vanilla(x))


@pytest.mark.parametrize("norm", [nn.GroupNorm(3, 12), nn.GroupNorm(2, 12, affine=False), nn.BatchNorm2d(12)])
@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
def test_norms_are_dealt_out(norm: nn.Module, alpha: float) -> None:
    vanilla = Body(norm).double().eval()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    for beta in (0.5, 1.0):
        sfic = to_sfic(vanilla, alpha, beta)
        assert parity(vanilla, sfic).unexplained == 0
        torch.testing.assert_close(fuse(sfic)(x), sfic(x))
    torch.testing.assert_close(with_identity_mcs(sfic)(x), vanilla(x))


class Attention(nn.Module):
    """A gate over places that is computed from all channels, which no branch has by itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean(1, keepdim=True).sigmoid()


def test_unsupported_operations_can_be_kept() -> None:
    vanilla = Body(Attention()).double()
    with pytest.raises(UnsupportedModel, match=r"node 'mean' \(middle\).*on_unsupported='join'"):
        to_sfic(vanilla, alpha=0.5, beta=1.0, on_unsupported="error")
    sfic = to_sfic(vanilla, alpha=0.5, beta=1.0, on_unsupported="keep")
    assert parity(vanilla, sfic).unexplained == 0
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(with_identity_mcs(sfic)(x), vanilla(x))
    torch.testing.assert_close(fuse(sfic)(x), sfic(x))
    assert to_sfic(vanilla, alpha=0.5, beta=0.5, on_unsupported="keep")(x).shape == (2, 3)


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        (
            Applied(lambda x: x.flatten(2).unflatten(2, (8, 8))),  # type: ignore[no-untyped-call]  # torch declares no types for it
            r"node 'flatten' \(middle\).*no meaning on a pair",
        ),
        (Applied(lambda x: x.permute(0, 2, 3, 1).cumsum(-1).permute(0, 3, 1, 2)), r"\.cumsum\(\) has no meaning"),
        (
            nn.Conv2d(12, 12, 3, padding=1, padding_mode="circular"),
            "padding mode 'circular' is not supported",
        ),
        (nn.ConvTranspose2d(12, 12, 1), "ConvTranspose2d has no meaning on a pair"),
        (Applied(lambda x: x.flip(1)), r"\.flip\(\) has no meaning"),
    ],
)
def test_refusals_name_node_and_module(middle: nn.Module, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        to_sfic(Body(middle), alpha=0.5, beta=0.5, on_unsupported="error")


def test_layouts() -> None:
    layout = Layout.of(Split(3, 2))
    assert layout.order == (0, 1, 2, 3, 4)
    both = Layout.concatenated([layout, Layout.of(Split(1, 1))])
    assert both == Layout((0, 1, 2, 5), (3, 4, 6)) and both.split == Split(4, 3)
    assert layout.repeated(2) == Layout((0, 1, 2, 3, 4, 5), (6, 7, 8, 9))
    picked, s, f = both.selected(range(2, 6))
    assert (picked, s, f) == (Layout((0, 3), (1, 2)), (2, 3), (0, 1))
    # The vanilla network shuffles [0 1 2 3 4] to [4 2 0 1 3]: the pair stays, its labels move.
    assert layout.relabelled([4, 2, 0, 1, 3]) == Layout((2, 3, 1), (4, 0))


def test_dividing_and_joining_undo_each_other() -> None:
    x = torch.randn(2, 5, 6, 6)
    layout = Layout((4, 0, 2), (3, 1))
    like = Pair(torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6))
    pair = Divide(layout.spatial, layout.frequency)(x, like)
    place = [layout.order.index(c) for c in range(5)]
    assert torch.equal(Join(place)(pair), x)
    small = Divide(layout.spatial, layout.frequency)(x, Pair(like.spatial, torch.zeros(1, 1, 3, 3)))
    assert small.frequency.shape == (2, 2, 3, 3)
    gate = Divide(layout.spatial, layout.frequency)(torch.ones(2, 5, 1, 1), like)
    assert gate.frequency.shape == (2, 2, 1, 1)


@pytest.mark.parametrize("function", [operator.mul, torch.maximum, torch.sub])
def test_pairs_split_differently_are_brought_together(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = same_size(12, 12), same_size(12, 12)

        def forward(self, x: Tensor) -> Tensor:
            return function(self.a(x), torch.cat([self.b(x)[:, 6:], x[:, :6]], 1))

    vanilla = Body(Two()).double()
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    sfic = with_identity_mcs(to_sfic(vanilla, alpha=0.4, beta=1.0))
    torch.testing.assert_close(sfic(x), vanilla(x))
    torch.testing.assert_close(fuse(sfic)(x), sfic(x))
