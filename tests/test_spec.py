from typing import cast

import pytest

from sfic_bench.choices import OnUnsupported
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.variant import Variant


def test_a_grid_has_the_vanilla_network_first() -> None:
    grid = Grid(backbones=("a", "b"), alphas=(0.5,), betas=(0.5, 1.0))
    assert [str(v) for v in grid] == [
        "a",
        "a α=0.5 β=0.5",
        "a α=0.5 β=1",
        "b",
        "b α=0.5 β=0.5",
        "b α=0.5 β=1",
    ]
    assert len(grid) == 6


@pytest.mark.parametrize(
    ("alpha", "beta", "words"),
    [
        (0.5, None, "both"),
        (-0.1, 1.0, r"alpha must lie in \[0, 1\], got -0.1"),
        (float("nan"), 1.0, "got nan"),
        (0.5, 0.0, r"beta must lie in \(0, 1\], got 0.0"),
        (0.5, float("inf"), "got inf"),
    ],
)
def test_variants_are_validated(alpha: float, beta: float | None, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        Variant(backbone="a", alpha=alpha, beta=beta)


def test_unsupported_operations_are_an_error_or_kept() -> None:
    kept = Variant(backbone="a", on_unsupported=cast(OnUnsupported, "keep"))  # as from a file or a prompt
    assert kept.on_unsupported is OnUnsupported.KEEP
    assert kept == Variant(backbone="a", on_unsupported=OnUnsupported.KEEP)
    with pytest.raises(UnknownName, match="unknown value of on_unsupported 'kep'; did you mean 'keep'"):
        Variant(backbone="a", on_unsupported=cast(OnUnsupported, "kep"))


def test_without_an_alpha_a_grid_is_vanilla() -> None:
    grid = Grid(backbones=("a", "b"), alphas=())
    assert [str(v) for v in grid] == ["a", "b"] and len(grid) == 2


def test_grids_are_validated() -> None:
    with pytest.raises(InvalidValue, match="betas is empty"):
        Grid(backbones=("a",), betas=())
    with pytest.raises(InvalidValue, match="alphas names a value twice"):
        Grid(backbones=("a",), alphas=(0.5, 0.5))
