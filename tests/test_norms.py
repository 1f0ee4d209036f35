"""Norms over several channels: both branches share their statistics."""

import importlib.util
from pathlib import Path

import pytest
import torch
from helpers.networks import Applied, Body, with_identity_mcs
from helpers.norms import MADE, dealt, joined, layout_of, randomised_norm
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.convert import fuse, parity, to_sfic
from sfic_bench.convert.layout import Layout
from sfic_bench.convert.norms import shared_norm
from sfic_bench.counting import count
from sfic_bench.deploying.export import export
from sfic_bench.nn import Pair
from sfic_bench.nn.norms import SharedNorm
from sfic_bench.nn.split import resize, size_of

has_onnx = all(importlib.util.find_spec(n) for n in ("onnx", "onnxruntime", "onnxscript"))
needs_onnx = pytest.mark.skipif(not has_onnx, reason="needs the extra onnx")


cases = given(
    groups=st.integers(1, 4),
    each=st.integers(1, 4),
    alpha=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=8)
@cases
def test_at_equal_sizes_it_is_the_vanilla_norm_and_so_are_its_gradients(
    name: str, groups: int, each: int, alpha: float, size: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    channels = groups * (each + 1)
    vanilla, layout = randomised_norm(MADE[name](groups, channels)), layout_of(channels, alpha, seed)
    shared = shared_norm(vanilla, layout).eval()
    x = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    same = x.detach().clone().requires_grad_()
    expected, computed = vanilla(x), joined(shared(dealt(same, layout)), layout)
    torch.testing.assert_close(computed, expected)
    towards = torch.randn_like(expected)
    ((expected + computed) * towards).sum().backward()
    torch.testing.assert_close(same.grad, x.grad)
    for parameter, p in vanilla.named_parameters(recurse=False):
        parts = [getattr(getattr(shared, branch), parameter) for branch in ("spatial", "frequency")]
        assert [None if part is None else part.shape for part in parts] == [(len(b),) if b else None for b in layout]
        gradients = [part.grad for part in parts if part is not None]
        assert p.grad is not None
        torch.testing.assert_close(torch.cat(gradients), p.grad[list(layout.order)])


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=8)
@cases
def test_maps_that_are_constant_give_what_vanilla_gives_at_any_size_of_f(
    name: str, groups: int, each: int, alpha: float, size: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    channels = groups * (each + 1)
    vanilla, layout = randomised_norm(MADE[name](groups, channels)), layout_of(channels, alpha, seed)
    x = torch.randn(2, channels, 1, 1, dtype=torch.float64)
    s, f = dealt(x, layout)
    larger = (size[0] + 2, size[1] + 1)
    computed = shared_norm(vanilla, layout).eval()(Pair(s.expand(-1, -1, *larger), f.expand(-1, -1, *size)))
    expected = dealt(vanilla(x.expand(-1, -1, *larger)), layout)
    torch.testing.assert_close(computed.spatial, expected.spatial)
    torch.testing.assert_close(computed.frequency, expected.frequency[..., : size[0], : size[1]])


def pair_of_two_sizes(layout: Layout) -> Pair:
    torch.manual_seed(1)
    s, f = layout.split.spatial, layout.split.frequency
    return Pair(3 + torch.randn(2, s, 6, 4, dtype=torch.float64), torch.randn(2, f, 3, 2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["LayerNorm", "RMS", "spread"])
def test_at_a_place_it_is_the_norm_of_the_joined_pair_at_the_size_of_each_branch(name: str) -> None:
    vanilla, layout = randomised_norm(MADE[name](1, 7)), layout_of(7, 0.4, 3)
    pair = pair_of_two_sizes(layout)
    computed = shared_norm(vanilla, layout)(pair)
    for own, branch in zip(computed, pair, strict=True):
        whole = joined(Pair(*(resize(x, size_of(branch)) for x in pair)), layout)
        expected = dealt(vanilla(whole), layout)
        torch.testing.assert_close(own, expected[0 if branch is pair.spatial else 1])


def test_in_a_group_each_channel_weighs_the_same() -> None:
    """S has four times as many pixels as F: a channel repeated to four times its pixels changes nothing."""
    vanilla, layout = randomised_norm(nn.GroupNorm(2, 8)), Layout((0, 5, 2, 7, 4), (6, 1, 3))
    pair = pair_of_two_sizes(layout)
    computed = shared_norm(vanilla, layout)(pair)
    repeated = Pair(pair.spatial, pair.frequency.repeat_interleave(2, 2).repeat_interleave(2, 3))
    expected = dealt(vanilla(joined(repeated, layout)), layout)
    torch.testing.assert_close(computed.spatial, expected.spatial)
    torch.testing.assert_close(computed.frequency, expected.frequency[..., ::2, ::2])


@pytest.mark.parametrize("name", ["GroupNorm", "LayerNorm"])
def test_a_mean_far_from_0_costs_no_precision(name: str) -> None:
    vanilla, layout = randomised_norm(MADE[name](2, 8)), layout_of(8, 0.5, 0)
    x = torch.randn(1, 8, 5, 5) + 1000
    computed = joined(shared_norm(vanilla.float(), layout)(dealt(x, layout)), layout)
    expected = vanilla.double()(x.double()).float()
    assert (computed - expected).abs().max() < 1e-3  # x itself is rounded to 6e-5 of its spread


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_goes_in_and_comes_out(dtype: torch.dtype) -> None:
    for name in MADE:
        vanilla, layout = randomised_norm(MADE[name](2, 8)), layout_of(8, 0.5, 0)
        x = (torch.randn(2, 8, 5, 5) + 16).to(dtype)
        shared = shared_norm(vanilla, layout).to(dtype).eval()
        computed = shared(dealt(x, layout))
        assert {branch.dtype for branch in computed} == {dtype}
        rounded = vanilla.to(dtype).double()  # the weights are rounded, the statistics are not
        rounding = torch.finfo(dtype).eps
        torch.testing.assert_close(
            joined(computed, layout).double(), rounded(x.double()), rtol=2 * rounding, atol=2 * rounding
        )


def shuffled(x: Tensor) -> Tensor:
    """``x`` with channels in another order, so that the channels of a group lie on both branches."""
    b, c, h, w = x.shape
    return x.view(b, 3, c // 3, h, w).transpose(1, 2).reshape(b, c, h, w)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_converted_network(name: str, alpha: float) -> None:
    torch.manual_seed(0)
    norm = randomised_norm(MADE[name](3, 12))
    vanilla = Body(nn.Sequential(Applied(shuffled), norm)).double().eval()
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(with_identity_mcs(to_sfic(vanilla, alpha, 1.0))(x), vanilla(x))
    for beta in (0.4, 1.0):
        sfic = to_sfic(vanilla, alpha, beta)
        assert parity(vanilla, sfic).unexplained == 0
        shared = sfic.get_submodule("middle.1")
        assert isinstance(shared, SharedNorm)
        names = {n for n, _ in norm.named_parameters()}
        assert {n.partition(".")[2] for n, _ in shared.named_parameters()} == names
        torch.testing.assert_close(fuse(sfic)(x), sfic(x))
        trainable = fuse(to_sfic(vanilla, alpha, beta), for_training=True)
        assert set(trainable.state_dict()) == set(sfic.state_dict())
        for p in sfic.parameters():
            nn.init.normal_(p, 0.1, 0.2)
        trainable.load_state_dict(sfic.state_dict())
        torch.testing.assert_close(trainable(x), sfic(x))
        trainable(x).sum().backward()
        sfic(x).sum().backward()
        for network in (sfic, trainable):
            assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", ["GroupNorm", "LayerNorm", "RMS", "spread"])
def test_every_operation_is_counted(name: str) -> None:
    vanilla = Body(MADE[name](3, 12))
    for beta in (0.5, 1.0):
        sfic = to_sfic(vanilla, 0.5, beta)
        for network in (sfic, fuse(sfic)):
            assert not count(network, (1, 3, 16, 16)).totals["conv-linear"].unsupported
    if name in ("GroupNorm", "LayerNorm"):  # at β = 1 the fused network has vanilla's norm
        counted, joined_counted = (
            sum(n for label, n in count(network, (1, 3, 16, 16)).totals["fvcore"].terms.items() if "norm" in label)
            for network in (vanilla, fuse(sfic))
        )
        assert counted == joined_counted == 5 * 12 * 16 * 16


def mixed() -> nn.Module:
    torch.manual_seed(0)
    kinds = [randomised_norm(MADE[name](3, 12)) for name in ("GroupNorm", "LayerNorm", "RMS", "spread")]
    return Body(nn.Sequential(*kinds)).float().eval()


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_shared_norms_are_one_graph(beta: float) -> None:
    sfic, x = to_sfic(mixed(), 0.5, beta), torch.randn(2, 3, 12, 12)
    for network in (sfic, fuse(sfic)):
        torch._dynamo.reset()
        compiled = torch.compile(network, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(x), network(x))


@needs_onnx
@pytest.mark.thorough  # importing the exporter takes seconds
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_shared_norms_are_exported(beta: float, tmp_path: Path) -> None:
    network = fuse(to_sfic(mixed(), 0.5, beta))
    exported = export(network, tmp_path / "network.onnx", format="onnx", input_size=12)
    assert exported.path.exists()  # it has been compared with torch


@pytest.mark.parametrize("options", [{}, {"affine": True}, {"affine": True, "track_running_stats": True}])
def test_instance_norms_go_to_each_branch(options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    vanilla = Body(nn.InstanceNorm2d(12, **options)).double()
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    vanilla(x)
    vanilla.eval()
    torch.testing.assert_close(with_identity_mcs(to_sfic(vanilla, 0.3, 1.0))(x), vanilla(x))
    for alpha, beta in ((0.3, 0.5), (0.3, 1.0), (0.0, 1.0)):
        sfic = to_sfic(vanilla, alpha, beta)
        assert parity(vanilla, sfic).unexplained == 0
        torch.testing.assert_close(fuse(sfic)(x), sfic(x))
        assert set(fuse(sfic, for_training=True).state_dict()) == set(sfic.state_dict())
        assert not count(sfic, (1, 3, 9, 8)).totals["conv-linear"].unsupported
