"""What mixes places or channels runs on the joined pair, and convolutions behind it are stages again."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Body, same_size, with_identity_mcs
from torch import Tensor, nn

from sfic_bench.api import explain_placement
from sfic_bench.convert import fuse, parity, to_sfic
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import Pair, Stage2
from sfic_bench.nn.adapters import Divide
from sfic_bench.nn.functions import OverPlaces

CHANNELS = 12


class ChannelsLast(nn.Module):
    """A ConvNeXt block without its norm: linear layers on channels that are the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = same_size(CHANNELS, CHANNELS, groups=CHANNELS)
        self.up, self.down = nn.Linear(CHANNELS, 20), nn.Linear(20, CHANNELS)
        self.scale, self.shift = nn.Parameter(torch.randn(CHANNELS)), nn.Parameter(torch.randn(1, 1, 1, 20))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(x).permute(0, 2, 3, 1)
        y = self.down(F.gelu(self.up(y) + self.shift))
        moved: Tensor = x + (y * self.scale).permute(0, 3, 1, 2)
        return moved


class Halves(nn.Module):
    """A MambaOut-like block: parts of the last axis, one of which is convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.conv, self.down = nn.Linear(CHANNELS, 20), same_size(5, 5), nn.Linear(10, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        gate, same, moved = torch.split(self.up(x.permute(0, 2, 3, 1)), [10, 5, 5], dim=-1)
        moved = self.conv(moved.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y: Tensor = self.down(gate.relu() * torch.cat((same, moved), -1)).permute(0, 3, 1, 2)
        return x + y


class Response(nn.Module):
    """Global response normalisation with channels last (ConvNeXt V2)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(CHANNELS)), nn.Parameter(torch.randn(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        size = x.norm(p=2, dim=(1, 2), keepdim=True)
        share = size / (size.mean(dim=-1, keepdim=True) + 1e-6)
        shape = (1, 1, 1, -1)
        return (x + torch.addcmul(self.bias.view(shape), self.weight.view(shape), x * share)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Attention between places, as tokens, with convolutions around it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.out = nn.Conv2d(CHANNELS, 3 * CHANNELS, 1), nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.query(x).reshape(b, 3, c, h * w).unbind(1)
        y = (q.transpose(1, 2) @ k).softmax(-1) @ v.transpose(1, 2)
        attended: Tensor = x + self.out(y.transpose(1, 2).reshape(b, c, h, w))
        return attended


class Context(nn.Module):
    """Global context: places weighted by a map of one channel, and a gate over places."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.mix = nn.Conv2d(CHANNELS, 1, 1), nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        weights = self.key(x).view(b, 1, h * w, 1).softmax(2)
        context = torch.matmul(x.view(b, 1, c, h * w), weights).view(b, c, 1, 1)
        gated: Tensor = x * self.mix(context).sigmoid() + x * self.key(x).sigmoid()
        return gated


class Paths(nn.Module):
    """Selective kernels: a stack of two paths, and a softmax between them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = same_size(CHANNELS, CHANNELS), same_size(CHANNELS, CHANNELS)
        self.select = nn.Conv2d(CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        paths = torch.stack([self.a(x), self.b(x)], dim=1)
        attention = self.select(paths.sum(1).mean((2, 3), keepdim=True))
        b, c, h, w = attention.shape
        summed: Tensor = (paths * attention.view(b, 2, c // 2, h, w).softmax(1)).sum(dim=1)
        return summed


class Blur(nn.Module):
    """A blur with one kernel for all channels, whose number is read from the map."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.rand(CHANNELS, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), "reflect")
        return F.conv2d(x, self.get_buffer("kernel"), stride=1, groups=x.shape[1])


class Coordinates(nn.Module):
    """Coordinate attention: a gate for each row and one for each column."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.columns = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.rows(x.mean(3, keepdim=True)).sigmoid()
        columns: Tensor = self.columns(x.mean(2, keepdim=True)).sigmoid()
        return x * rows * columns


class GateAtHalfSize(nn.Module):
    """A gate that is computed at half the size and enlarged to that of the map (GhostNet v2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = same_size(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.conv(F.avg_pool2d(x, 2, 2)).sigmoid()
        return x * F.interpolate(gate, size=(x.shape[-2], x.shape[-1]), mode="nearest")


class WindowBySize(nn.Module):
    """Pools whose windows are computed from the size of the map (MobileNetV5)."""

    def forward(self, x: Tensor) -> Tensor:
        window = (x.shape[-2] // 4, x.shape[-1] // 4)
        y = F.avg_pool2d(x, kernel_size=window, stride=window)
        return x * y.mean((2, 3), keepdim=True) + F.max_pool2d(x, window, 1).amax((2, 3), keepdim=True)


class Statistics(nn.Module):
    """Sums and variances of maps, and their number format."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(x.dtype) / (x.var(dim=(2, 3), keepdim=True, unbiased=False) + 1).sqrt()
        return y + x.sum((2, 3), keepdim=True) / 50 + x.square().amax(dim=(-2, -1), keepdim=True)


BLOCKS: list[Callable[[], nn.Module]] = [
    ChannelsLast, Halves, Response, Attention, Context, Paths, Blur, Coordinates, GateAtHalfSize,
    WindowBySize, Statistics,
]  # fmt: skip


def body(block: Callable[[], nn.Module]) -> Body:
    torch.manual_seed(0)
    return Body(nn.Sequential(block(), same_size(CHANNELS, CHANNELS), block()), CHANNELS).double().eval()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_at_beta_1_the_function_is_vanillas(block: Callable[[], nn.Module], alpha: float) -> None:
    vanilla = body(block)
    x = torch.randn(2, 3, 10, 12, dtype=torch.float64)
    sfic = to_sfic(vanilla, alpha, 1.0)
    assert parity(vanilla, sfic).unexplained == 0
    torch.testing.assert_close(with_identity_mcs(sfic)(x), vanilla(x))
    torch.testing.assert_close(fuse(sfic)(x), sfic(x))


@pytest.mark.parametrize("block", BLOCKS)
def test_below_beta_1_it_learns_and_fuses(block: Callable[[], nn.Module]) -> None:
    x = torch.randn(2, 3, 9, 12, dtype=torch.float64)
    for beta in (0.25, 0.5):
        sfic = to_sfic(body(block), 0.5, beta)
        sfic(x).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in sfic.parameters())
        torch.testing.assert_close(fuse(sfic)(x), sfic(x))
        torch.testing.assert_close(fuse(sfic, for_training=True)(x), sfic(x))
    assert isinstance(sfic.get_submodule("middle.1"), Stage2)  # whatever has been joined before it


def test_convolutions_around_attention_are_stages_or_stay_vanilla() -> None:
    joined = to_sfic(body(Attention), 0.5, 0.5)
    kept = to_sfic(body(Attention), 0.5, 0.5, on_unsupported="keep")
    for name in ("middle.0.out", "middle.2.out"):
        assert isinstance(joined.get_submodule(name), Stage2)
        assert isinstance(kept.get_submodule(name), nn.Conv2d)
    explanation = explain_placement(body(Attention))
    kinds = {o.operation for o in explanation.operations if o.role == "kept"}
    assert kinds == {".reshape()"}  # what follows it reads single tensors
    assert "100% of the convolutions' MACs" not in explanation.summary  # Stage 1 has a vanilla layer before it


def test_a_layer_that_cannot_serve_two_layouts_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = same_size(CHANNELS, CHANNELS)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            twice: Tensor = self.conv(torch.cat([x[:, 3:], x[:, :3]], 1))
            return twice

    with pytest.raises(UnsupportedModel, match="Conv2d serves a pair before and a single tensor here"):
        to_sfic(Body(Twice(), CHANNELS), 0.5, 0.5)


def test_a_network_that_would_stay_mostly_vanilla_is_refused() -> None:
    class Mostly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.large = nn.Conv2d(CHANNELS, CHANNELS, 9, padding=4, padding_mode="circular")

        def forward(self, x: Tensor) -> Tensor:
            large: Tensor = self.large(x)
            return large

    vanilla = body(Mostly)
    with pytest.raises(UnsupportedModel, match=r"only \d+% of .* the first of them Conv2d in middle\.0\.large"):
        to_sfic(vanilla, 0.5, 0.5)
    assert to_sfic(vanilla, 0.5, 0.5, on_unsupported="keep")(torch.randn(1, 3, 8, 8).double()).shape == (1, 3)


@pytest.mark.parametrize(("power", "reduce"), [(1.0, Tensor.sum), (0.5, torch.linalg.vector_norm)])
def test_a_sum_does_not_depend_on_how_large_f_is(power: float, reduce: Callable[..., Tensor]) -> None:
    total = OverPlaces(lambda x: reduce(x, dim=(2, 3), keepdim=True), power)
    pair = total(Pair(torch.ones(2, 3, 8, 6), torch.ones(2, 1, 4, 2)))
    torch.testing.assert_close(pair[0][:1, :1], pair[1][:1, :1])


def test_what_is_divided_keeps_the_scale_of_f() -> None:
    like = Pair(torch.zeros(1, 1, 8, 6), torch.zeros(1, 1, 4, 3))
    divide = Divide([0, 1], [2])
    for size, expected in {(8, 6): (4, 3), (16, 12): (8, 6), (1, 6): (1, 3), (1, 1): (1, 1), (4, 4): (2, 2)}.items():
        assert divide(torch.zeros(1, 3, *size), like).frequency.shape[2:] == expected


@pytest.mark.parametrize(
    "block", [pytest.param(b, marks=[] if b in (Response, Attention) else [pytest.mark.thorough]) for b in BLOCKS]
)
def test_it_is_one_graph_for_compilers_and_exporters(block: Callable[[], nn.Module]) -> None:
    x = torch.randn(2, 3, 9, 12, dtype=torch.float64)
    fused = fuse(to_sfic(body(block), 0.5, 0.5))
    with torch.no_grad():
        compiled = torch.compile(fused, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), fused(x))
        torch.testing.assert_close(torch.export.export(fused, (x,)).module()(x), fused(x))


@pytest.mark.filterwarnings("ignore")  # that its sizes are constants in the trace
def test_a_division_can_be_traced_by_torch_jit() -> None:
    """There, sizes are tensors; fvcore traces so, too."""

    class Divided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.divide = Divide([0, 1], [2, 3])

        def forward(self, x: Tensor) -> Pair:
            return self.divide(x, Pair(x, x[..., ::2, ::2]))  # type: ignore[no-any-return]

    x = torch.randn(2, 4, 6, 10)
    traced = torch.jit.trace(Divided(), x)  # type: ignore[no-untyped-call]
    for ours, theirs in zip(Divided()(x), traced(x), strict=True):
        assert torch.equal(ours, theirs)
    assert traced(x)[1].shape == (2, 2, 3, 5)
