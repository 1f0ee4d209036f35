import doctest
import operator
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sfic_bench.nn import ConvOptions, Pair, PerBranch, Split, Stage1, Stage2, Stage3, scaled_size, stages
from sfic_bench.nn.split import size_of

DOUBLE = torch.float64


def nearest(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x, size=size, mode="nearest")


def random_pair(s: int, f: int, size: int = 12, small: int = 9) -> Pair:
    return Pair(torch.randn(2, s, size, size, dtype=DOUBLE), torch.randn(2, f, small, small, dtype=DOUBLE))


def test_stage1_resizes_after_its_convolution() -> None:
    stage = Stage1(4, Split(5, 3), 3, beta=0.75, padding=1, dtype=DOUBLE)
    x = torch.randn(2, 4, 13, 13, dtype=DOUBLE)
    s, f = stage(x)
    assert stage.mcs and stage.spatial and stage.frequency
    filtered = F.conv2d(x, stage.mcs.kernel(), padding=2, groups=4)
    torch.testing.assert_close(s, F.conv2d(x, stage.spatial.weight, padding=1))
    full = F.conv2d(filtered, stage.frequency.weight, padding=1)
    torch.testing.assert_close(f, nearest(full, (9, 9)))  # int(.75 · 13) = 9


def test_stage2_is_equations_2_to_5() -> None:
    stage = Stage2(Split(4, 2), Split(3, 5), 3, padding=1, dtype=DOUBLE)
    s, f = random_pair(4, 2)
    ss, sf, fs, ff = (getattr(stage, name).weight for name in ("ss", "sf", "fs", "ff"))
    out = stage(Pair(s, f))
    enlarged = nearest(F.conv2d(f, fs, padding=1), (12, 12))
    reduced = nearest(F.conv2d(s, sf, padding=1), (9, 9))
    torch.testing.assert_close(out.spatial, F.conv2d(s, ss, padding=1) + enlarged)
    torch.testing.assert_close(out.frequency, F.conv2d(f, ff, padding=1) + reduced)


def test_stage3_is_equations_6_and_7() -> None:
    stage = Stage3(Split(4, 2), 7, 1, stride=2, dtype=DOUBLE)
    s, f = random_pair(4, 2)
    assert stage.ss and stage.fs
    small_s, small_f = F.avg_pool2d(s, 2), F.avg_pool2d(f, 2, ceil_mode=True)
    expected = F.conv2d(small_s, stage.ss.weight) + nearest(F.conv2d(small_f, stage.fs.weight), (6, 6))
    torch.testing.assert_close(stage(Pair(s, f)), expected)


def test_depthwise_stage2_has_no_exchange() -> None:
    stage = Stage2(Split(4, 2), Split(4, 2), 3, padding=1, groups=6, dtype=DOUBLE)
    assert stage.sf is None and stage.fs is None
    s, f = random_pair(4, 2)
    assert stage.ss and stage.ff
    out = stage(Pair(s, f))
    torch.testing.assert_close(out.spatial, F.conv2d(s, stage.ss.weight, padding=1, groups=4))
    torch.testing.assert_close(out.frequency, F.conv2d(f, stage.ff.weight, padding=1, groups=2))


def test_grouped_stage1_uses_common_divisors() -> None:
    # MobileNet, α = 0.5: 32 → 16 on each branch, gcd(32, 16) = 16 groups.
    stage = Stage1(32, Split.of(32, 0.5), 3, beta=1.0, padding=1, groups=32)
    assert stage.spatial and stage.frequency
    assert stage.spatial.groups == stage.frequency.groups == 16
    # α = 0.3: 23 and 9 outputs share no factor with 32.
    stage = Stage1(32, Split.of(32, 0.3), 3, beta=1.0, padding=1, groups=32)
    assert stage.spatial and stage.frequency
    assert stage.spatial.groups == stage.frequency.groups == 1


@settings(max_examples=60)
@given(
    alpha=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    beta=st.floats(0.05, 1),
    size=st.integers(1, 33),
    channels=st.integers(1, 9),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
)
def test_three_stages_stand_for_three_convolutions(
    alpha: float, beta: float, size: int, channels: int, kernel: int, stride: int
) -> None:
    """For any α, β and size the shape is vanilla's, and every parameter gets a gradient."""
    split = Split.of(channels, alpha)
    padding = kernel // 2
    net = nn.Sequential(
        Stage1(3, split, kernel, beta=beta, padding=padding),
        PerBranch(nn.ReLU()),
        Stage2(split, split, kernel, padding=padding, stride=stride),
        PerBranch(nn.MaxPool2d(3, 2, padding=1)),
        Stage3(split, 4, kernel, padding=padding, stride=stride),
    )
    vanilla = nn.Sequential(
        nn.Conv2d(3, channels, kernel, padding=padding),
        nn.Conv2d(channels, channels, kernel, padding=padding, stride=stride),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(channels, 4, kernel, padding=padding, stride=stride),
    )
    x = torch.randn(2, 3, size, size)
    out = net(x)
    assert out.shape == vanilla(x).shape
    out.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_bias_reaches_every_branch_that_exists(alpha: float) -> None:
    split = Split.of(4, alpha)
    stage = Stage2(split, split, 3, padding=1, bias=True)
    out = stage(Pair(torch.zeros(1, split.spatial, 6, 6), torch.zeros(1, split.frequency, 3, 3)))
    for branch in out:
        assert branch.shape[1] == 0 or branch.abs().sum() > 0
    assert sum(m.bias.numel() for m in stage.modules() if isinstance(m, nn.Conv2d) and m.bias is not None) == 4


def test_a_pool_takes_what_is_left_of_f() -> None:
    pool = nn.MaxPool2d(2)
    s, f = PerBranch(pool)(Pair(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 1, 1)))
    assert s.shape[-2:] == (2, 2) and f.shape[-2:] == (1, 1)
    assert pool.kernel_size == 2  # the module itself is left alone
    with pytest.raises(RuntimeError):  # S must fail as vanilla does
        PerBranch(pool)(Pair(torch.rand(1, 2, 1, 1), torch.rand(1, 2, 1, 1)))


def test_functions_take_several_pairs_and_lists() -> None:
    a, b = random_pair(4, 2), random_pair(4, 2)
    torch.testing.assert_close(PerBranch(operator.add)(a, b).frequency, a.frequency + b.frequency)
    joined = PerBranch(torch.cat)([a, b], 1)
    assert (joined.spatial.shape[1], joined.frequency.shape[1]) == (8, 4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Stage1(3, Split(2, 2), 3, beta=0.0), r"beta must lie in \(0, 1\], got 0.0"),
        (lambda: Stage2(Split(2, 2), Split(2, 2), 3, groups=2), "groups=1.*groups=4.*got groups=2"),
        (lambda: Stage2(Split(2, 2), Split(3, 1), 3, groups=4), "cannot turn"),
        (lambda: Stage3(Split(2, 2), 4, 3, groups=4), "needs groups=1"),
    ],
)
def test_wrong_arguments_are_named(make: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@settings(max_examples=80)
@given(
    kernel=st.tuples(*2 * [st.integers(1, 5)]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    height=st.integers(9, 21),
    width=st.integers(9, 21),
    beta=st.sampled_from([0.3, 0.5, 1.0]),
)
def test_sizes_are_the_replaced_convolutions(
    kernel: tuple[int, int], stride: int, padding: int, dilation: int, height: int, width: int, beta: float
) -> None:
    """This holds for any padding, odd sizes and asymmetric kernels, so that a shortcut can be added."""
    options = ConvOptions(stride=stride, padding=padding, dilation=dilation)
    vanilla = nn.Conv2d(4, 4, kernel, stride=stride, padding=padding, dilation=dilation)
    expected = size_of(vanilla(torch.rand(1, 4, height, width)))
    split = Split(2, 2)
    first = Stage1(4, split, kernel, beta=beta, **options)(torch.rand(1, 4, height, width))
    pair = Pair(torch.rand(1, 2, height, width), torch.rand(1, 2, *scaled_size((height, width), beta)))
    second = Stage2(split, split, kernel, **options)(pair)
    third = Stage3(split, 4, kernel, **options)(pair)
    assert size_of(first.spatial) == size_of(second.spatial) == size_of(third) == expected
    assert size_of(first.frequency) == scaled_size(expected, beta)
    assert min(size_of(second.frequency)) >= 1
    assert beta < 1 or size_of(second.frequency) == expected


def test_the_documented_example_runs() -> None:
    assert doctest.testmod(stages).failed == 0
