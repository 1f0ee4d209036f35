import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfic_bench.nn import Split, resize, scaled_size
from sfic_bench.nn.split import apply_to

alphas = st.floats(0, 1)


@given(st.integers(1, 4096), alphas)
def test_split_keeps_every_channel(channels: int, alpha: float) -> None:
    split = Split.of(channels, alpha)
    assert split.total == channels
    assert split.frequency == int(alpha * channels)
    assert min(split.spatial, split.frequency) >= 0


def test_spatial_is_a_difference_not_a_second_product() -> None:
    # int(10 * (1 - 0.3)) is 6: the released code loses a channel here and crashes.
    assert Split.of(10, 0.3) == Split(7, 3)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_out_of_range_is_named(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got"):
        Split.of(8, alpha)


@given(st.integers(1, 600), st.floats(0.01, 1))
def test_frequency_size_is_rounded_down_and_never_zero(n: int, beta: float) -> None:
    assert scaled_size((n, n), beta) == (max(1, int(beta * n)),) * 2


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_resize_hits_its_target_also_without_channels(n: int, target: int, channels: int) -> None:
    x = torch.arange(2.0 * channels * n * n).view(2, channels, n, n)
    assert resize(x, (target, n)).shape == (2, channels, target, n)


def test_resize_is_nearest_neighbour() -> None:
    x = torch.arange(6.0).view(1, 1, 1, 6)
    # Pixel i of the result is pixel floor(i · 6/4) of the input.
    assert resize(x, (1, 4)).flatten().tolist() == [0, 1, 3, 4]


def test_apply_to_gives_an_empty_tensor_the_right_size() -> None:
    empty = torch.zeros(2, 0, 9, 9)
    assert apply_to(torch.nn.MaxPool2d(2), empty).shape == (2, 0, 4, 4)
