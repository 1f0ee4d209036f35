"""A norm is known by what it computes."""

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Body
from helpers.norms import (
    MADE,
    ChannelsFirst,
    Chosen,
    InFloat32,
    WithActivation,
    dealt,
    joined,
    layout_of,
    randomised_norm,
)
from torch import Tensor, nn

from sfic_bench.convert import to_sfic
from sfic_bench.convert.norms import known_norm, shared_norm
from sfic_bench.errors import UnsupportedModel


class Doubled(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Elsewhere(ChannelsFirst):
    """ε is added to the root and not under it."""

    def forward(self, input: Tensor) -> Tensor:
        x = input - input.mean(1, keepdim=True)
        x = x / (x.square().mean(1, keepdim=True).sqrt() + self.eps)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class ActivatedFirst(WithActivation):
    def forward(self, input: Tensor) -> Tensor:
        return nn.GroupNorm.forward(self, self.act(input))


class Scaled(nn.GroupNorm):
    def __init__(self, factor: float | list[float]) -> None:
        super().__init__(3, 12)
        self.factor = factor

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * torch.tensor(self.factor, dtype=input.dtype)


class DroppedInTraining(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(super().forward(input), 0.5, self.training)


@pytest.mark.parametrize(
    "norm",
    [
        DroppedInTraining(3, 12).eval(),
        Doubled(3, 12),
        Elsewhere(12),
        ActivatedFirst(3, 12),
        WithActivation(3, 12, nn.Softmax(1)),
        WithActivation(3, 12, nn.PReLU(12)),
        nn.LayerNorm((12, 9, 8)),
        nn.LocalResponseNorm(3),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_what_computes_something_else_is_refused(norm: nn.Module) -> None:
    assert known_norm(norm) is None
    with pytest.raises(UnsupportedModel, match=r"\(middle\).*has no meaning on a pair"):
        to_sfic(Body(norm), 0.5, 1.0, on_unsupported="error")
    with pytest.raises(ValueError, match="no known norm over channels"):
        shared_norm(norm, layout_of(12, 0.5, 0))


@pytest.mark.parametrize("name", MADE)
def test_a_norm_is_left_alone_when_it_is_tried(name: str) -> None:
    norm = MADE[name](2, 8).train()
    before, state = dict(vars(norm)), {n: p.clone() for n, p in norm.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    known = known_norm(norm)
    assert known is not None and (known.channels, known.axis) == (8, 1)
    assert torch.equal(torch.rand(1), expected)  # no number of the user's sequence is used up
    assert vars(norm) == before and all(torch.equal(state[n], p) for n, p in norm.state_dict().items())
    assert known_norm(norm.to("meta")) == known


def test_a_norm_over_the_last_axis_is_shared_too() -> None:
    """Wherever the vanilla norm has its channels, in a pair they lie on axis 1."""
    for vanilla in (nn.LayerNorm(6), nn.RMSNorm(6), Chosen(6, axis=-1)):
        known, layout = known_norm(randomised_norm(vanilla)), layout_of(6, 0.5, 0)
        assert known is not None and known.axis == -1
        x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
        computed = joined(shared_norm(vanilla, layout)(dealt(x, layout)), layout)
        torch.testing.assert_close(computed, vanilla(x.movedim(1, -1)).movedim(-1, 1))
    with pytest.raises(ValueError, match="is over 6 channels, and the pair has 4"):
        shared_norm(nn.LayerNorm(6), layout_of(4, 0.5, 0))


def test_frozen_weights_stay_frozen() -> None:
    norm = nn.GroupNorm(2, 8)
    norm.weight.requires_grad_(False)
    shared = shared_norm(norm, layout_of(8, 0.5, 0))
    assert {n: p.requires_grad for n, p in shared.named_parameters()} == {
        f"{branch}.{name}": name == "bias" for branch in ("spatial", "frequency") for name in ("weight", "bias")
    }


def test_norms_of_one_class_are_told_apart_by_their_settings() -> None:
    for one, two in ((1.0, 2.0), ([1.0], [2.0])):
        assert known_norm(Scaled(one)) is not None and known_norm(Scaled(two)) is None


def test_settings_that_fit_no_norm_are_no_error() -> None:
    for name, value in {"eps": -1.0, "num_groups": 5, "normalized_shape": ()}.items():
        norm = Chosen(8)
        setattr(norm, name, value)
        assert known_norm(norm) is None or name == "num_groups"
    network = Body(nn.ReLU())
    vars(network).update(eps=1e-6, num_channels=3)
    assert known_norm(network) is None


def test_a_norm_in_float32_is_known() -> None:
    known = known_norm(InFloat32(8).half())
    assert known is not None and (known.formula.kind, known.formula.eps) == ("layer", 1e-5)


def test_a_changed_setting_is_noticed() -> None:
    norm = nn.GroupNorm(2, 8)
    first = known_norm(norm)
    norm.eps = 0.1
    second = known_norm(norm)
    assert first is not None and second is not None and (first.formula.eps, second.formula.eps) == (1e-5, 0.1)
