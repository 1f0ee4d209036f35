"""The table of conversion rules, and `Split.of` as the only place that turns α into channels."""

import operator
from collections.abc import Callable
from math import ceil

import pytest
import torch
import torch.nn.functional as F
from helpers.networks import Body, same_size
from torch import Tensor, fx, nn

from sfic_bench.api import explain_placement
from sfic_bench.convert import to_sfic
from sfic_bench.convert.graph import Call
from sfic_bench.convert.rules import table
from sfic_bench.nn import Pair, Split

NOT_IN_TORCH = {"stochastic_depth", "drop_path", "getattr"}
"""Functions of torchvision, of timm and of Python."""


def test_every_name_in_the_table_is_a_name_in_torch() -> None:
    names = {key for key in table._RULES if isinstance(key, str)}
    known = {torch.linalg.vector_norm.__name__, *dir(torch), *dir(torch.Tensor), *dir(F), *dir(operator)}
    unknown = names - known
    assert unknown == NOT_IN_TORCH


def test_a_second_rule_for_an_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="cat has a rule already"):
        table.rule("cat")(lambda operation: operation.as_in_vanilla())


@pytest.mark.parametrize("function", [torch.add, operator.add, operator.iadd, torch.cat, F.relu, torch.relu])
def test_functions_are_known_by_their_names(function: Callable[..., object]) -> None:
    assert table.rule_for(Call(fx.Graph().call_function(function), {})) is not None


def test_functions_of_unknown_packages_have_no_rule() -> None:
    def add(a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    assert table.rule_for(Call(fx.Graph().call_function(add), {})) is None


def test_subclasses_of_a_module_have_its_rule() -> None:
    class Own(nn.BatchNorm2d):
        pass

    node = fx.Graph().call_module("own")
    norm, own, bilinear = (
        table.rule_for(Call(node, {"own": module})) for module in (nn.BatchNorm2d(3), Own(3), nn.Bilinear(2, 2, 2))
    )
    assert own is norm is not None and bilinear is None


def test_alpha_turns_into_channels_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """When `Split.of` rounds channels up instead of down, every stage follows, grouped convolutions included."""

    def rounded_up(channels: int, alpha: float) -> Split:
        frequency = ceil(alpha * channels)
        return Split(channels - frequency, frequency)

    monkeypatch.setattr(Split, "of", staticmethod(rounded_up))
    # Two groups have 5 outputs each, and the split of 6 inputs cuts one of them. At α = .25, ⌈2.5⌉ = 3 of the
    # 10 outputs are frequency channels; rounded down, they would be 2.
    vanilla = Body(same_size(6, 10, groups=2), channels=6, out=10)
    sfic = to_sfic(vanilla, alpha=0.25, beta=1.0)
    first = sfic.get_submodule("first")(torch.zeros(1, 8, 4, 4))
    assert isinstance(first, Pair) and first.frequency.shape[1] == 2
    assert sfic.get_submodule("middle")(first).frequency.shape[1] == 3
    splits = {o.path: o.split for o in explain_placement(vanilla, alpha=0.25).operations}
    assert (splits["first"], splits["middle"]) == (Split(4, 2), Split(7, 3))
