import pytest

from sfic_bench.errors import InvalidValue
from sfic_bench.spec import Grid, Variant


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
    ("arguments", "words"),
    [
        ({"alpha": 0.5}, "both"),
        ({"alpha": -0.1, "beta": 1.0}, r"alpha must lie in \[0, 1\], got -0.1"),
        ({"alpha": float("nan"), "beta": 1.0}, "got nan"),
        ({"alpha": 0.5, "beta": 0.0}, r"beta must lie in \(0, 1\], got 0.0"),
        ({"alpha": 0.5, "beta": float("inf")}, "got inf"),
    ],
)
def test_variants_are_validated(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        Variant(backbone="a", **arguments)


def test_without_an_alpha_a_grid_is_vanilla() -> None:
    grid = Grid(backbones=("a", "b"), alphas=())
    assert [str(v) for v in grid] == ["a", "b"] and len(grid) == 2


def test_grids_are_validated() -> None:
    with pytest.raises(InvalidValue, match="betas is empty"):
        Grid(backbones=("a",), betas=())
    with pytest.raises(InvalidValue, match="alphas names a value twice"):
        Grid(backbones=("a",), alphas=(0.5, 0.5))
