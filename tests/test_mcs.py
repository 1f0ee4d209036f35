from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sfic_bench.choices import McsMode
from sfic_bench.nn import MCSConv


def ring_sum_and_centre(layer: MCSConv) -> tuple[Tensor, Tensor]:
    """The kernels' sum without the centre, and the centre, from the layer's response to an impulse."""
    channels = layer.weight.shape[0]
    impulse = torch.zeros(1, channels, 9, 9, dtype=layer.weight.dtype)
    impulse[..., 4, 4] = 1
    response = layer(impulse)[0]
    centre = response[:, 4, 4]
    return response.sum(dim=(1, 2)) - centre, centre


@settings(max_examples=25)
@given(
    st.integers(0, 2**31),
    st.sampled_from([torch.optim.SGD, torch.optim.Adam]),
    st.floats(-1e-6, 1e-6),
)
def test_constraint_holds_after_any_training(
    seed: int, optimiser: type[torch.optim.SGD | torch.optim.Adam], ring_sum: float
) -> None:
    torch.manual_seed(seed)
    layer = MCSConv(4)
    with torch.no_grad():  # so near 0 that dividing by the sum would blow up
        ring = layer.weight * layer._ring
        layer.weight.sub_((ring.sum((2, 3), keepdim=True) - ring_sum) / 24)
    step = optimiser(layer.parameters(), lr=0.1)
    before = layer.weight.detach().clone()
    for _ in range(50):
        step.zero_grad()
        layer(torch.randn(2, 4, 12, 12)).square().mean().backward()
        assert layer.weight.grad is not None and layer.weight.grad.isfinite().all()
        step.step()
    assert not torch.equal(before, layer.weight)  # a gradient did reach the weight
    ring_sum_now, centre = ring_sum_and_centre(layer)
    # Adding 25 numbers of this size in float32 loses so much, once in the projection and once in the response.
    lost = 2 * 25 * torch.finfo(torch.float32).eps * float(layer.weight.detach().abs().max() + 1)
    torch.testing.assert_close(ring_sum_now, torch.ones(4), atol=lost, rtol=0)
    torch.testing.assert_close(centre, -torch.ones(4), atol=lost, rtol=0)


def test_flat_images_have_no_high_frequencies() -> None:
    # −1 + 1: away from the border, a constant image gives 0.
    out = MCSConv(3)(torch.full((1, 3, 9, 9), 7.0))
    torch.testing.assert_close(out[..., 2:-2, 2:-2], torch.zeros(1, 3, 5, 5), atol=1e-5, rtol=0)


def test_state_is_the_weight_and_nothing_else() -> None:
    layer = MCSConv(6)
    assert {k: tuple(v.shape) for k, v in layer.state_dict().items()} == {"weight": (6, 1, 5, 5)}
    assert sum(p.numel() for p in layer.parameters()) == 25 * 6


def test_frozen_is_never_trained() -> None:
    layer = MCSConv(2, mode="frozen")
    assert not layer.weight.requires_grad
    ring_sum, centre = ring_sum_and_centre(layer)
    torch.testing.assert_close(ring_sum, torch.ones(2))
    torch.testing.assert_close(centre, -torch.ones(2))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="'learned' or 'frozen', got 'fixed'"):
        MCSConv(2, mode=cast(McsMode, "fixed"))
    with pytest.raises(ValueError, match="at least 1 channel"):
        MCSConv(0)


def test_frozen_is_drawn_and_applied_as_in_the_released_code() -> None:
    """The released kernels are normal values over the sum of 24 of them: the sum is often near 0, and their norm large.

    That norm's median is 1.45 in the released code, and its 99.9% quantile 963.
    """
    torch.manual_seed(0)
    layer = MCSConv(20_000, mode="frozen")
    assert layer.kernel() is layer.weight
    norms = (layer.weight * layer._ring).flatten(1).norm(dim=1)
    assert 1.40 < float(norms.median()) < 1.50 and 400 < float(norms.quantile(0.999)) < 2500
