"""The Triton kernel in Triton's interpreter against its definition in float64, in poisoned memory."""

import pytest
import torch
from helpers.kernels import GUARD, expected, poisoned, random_operands
from hypothesis import given, settings
from hypothesis import strategies as st

from sfic_bench.kernels import Activation, TileShape
from sfic_bench.kernels.launch import launch
from sfic_bench.kernels.workload import Operands
from sfic_bench.nn import scaled_size

pytest.importorskip("triton", reason="needs triton: nox -s kernels")
from triton.runtime.interpreter import InterpretedFunction

from sfic_bench.kernels.source import interactive_conv_kernel

INTERPRETED = InterpretedFunction(interactive_conv_kernel.fn)

Size = tuple[int, int]


def relative_error(operands: Operands, activation: Activation, tile: TileShape) -> float:
    """The kernel's largest error over its largest output, which is taken to be at least 1.

    A single output may be next to 0 by cancellation. Fails where the kernel leaves a gap or writes beside the result.
    """
    outputs = operands.own_weight.shape[0]
    shape = (len(operands.own), outputs, *operands.own.shape[2:])
    result, memory = poisoned(shape, operands.own.dtype)
    launch(result, operands, activation, tile=tile, kernel=INTERPRETED)
    right = expected(operands, activation)
    assert not result.isnan().any(), "a NaN was read, or a pixel was not written"
    assert memory[:GUARD].isnan().all() and memory[-GUARD:].isnan().all(), "memory beside the result was written"
    return float((result.double() - right).abs().max() / right.abs().max().clamp(min=1))


sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
anything = {
    "seed": st.integers(0, 2**31),
    "images": st.integers(1, 2),
    "size": sizes,
    "beta": st.one_of(st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.floats(0.05, 1)),
    "multiple": st.sampled_from([1, 1, 2, 4, 8]),
    "enlarges": st.booleans(),
    "channels": st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 24)),
    "kernel": st.sampled_from([(1, 1), (1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (5, 1)]),
    "bias": st.booleans(),
    "residual": st.booleans(),
    "activation": st.sampled_from(list(Activation)),
    "rows": st.sampled_from([64, 128, 256]),
    "columns": st.sampled_from([16, 32]),
    "depth": st.sampled_from([16, 32]),
}


def check(
    seed: int, images: int, size: Size, beta: float, multiple: int, enlarges: bool, channels: tuple[int, int, int],
    kernel: Size, bias: bool, residual: bool, activation: Activation, rows: int, columns: int, depth: int,
) -> None:  # fmt: skip
    large = (-(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple)  # so that β = 1/multiple is exact
    small = scaled_size(large, 1 / multiple if multiple > 1 else beta)
    own, other = (large, small) if enlarges else (small, large)
    operands = random_operands(seed, images, own, other, channels, kernel, bias=bias, residual=residual)
    tile = TileShape(rows=rows, columns=columns, depth=depth, warps=4, stages=3)
    assert relative_error(operands, activation, tile) < 1e-6


@settings(max_examples=60)
@given(**anything)
def test_any_call(**case: object) -> None:
    check(**case)  # type: ignore[arg-type]


@pytest.mark.thorough
@settings(max_examples=500)
@given(**anything)
def test_five_hundred_calls(**case: object) -> None:
    check(**case)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "other", "repeat"),
    [
        ((8, 8), (4, 4), (2, 2)),
        ((8, 8), (2, 2), (4, 4)),
        ((8, 6), (4, 6), (2, 1)),  # one axis alone
        ((8, 9), (1, 3), (4, 1)),  # 8 neighbours in two groups of 4; a third is no power of two
        ((7, 7), (5, 5), (1, 1)),
        ((4, 4), (8, 8), (1, 1)),  # every second pixel
        ((5, 3), (7, 4), (1, 1)),
    ],
)
def test_every_kind_of_resize(size: Size, other: Size, repeat: Size) -> None:
    operands = random_operands(0, 2, size, other, (17, 9, 18), (3, 3))
    assert operands.workload.repeat == repeat
    assert relative_error(operands, Activation.RELU, TileShape(rows=64, columns=16, depth=16, warps=4, stages=3)) < 1e-6


def test_half_precision_rounds_once() -> None:
    """The sums are in float32, so that the result is wrong by half a unit in the last of its 11 binary places.

    The interpreter has no products in bfloat16; tests/gpu has.
    """
    operands = random_operands(0, 1, (6, 8), (3, 4), (24, 16, 20), (3, 3), dtype=torch.float16)
    tile = TileShape(rows=64, columns=32, depth=16, warps=4, stages=3)
    assert relative_error(operands, Activation.RELU, tile) < 2**-11 * 1.001


def test_operands_in_other_layouts() -> None:
    operands = random_operands(0, 2, (6, 8), (3, 4), (8, 8, 16), (3, 3))
    contiguous = Operands(*(None if x is None else x.contiguous() for x in operands))  # type: ignore[arg-type]
    tile = TileShape(rows=64, columns=16, depth=16, warps=4, stages=3)
    assert relative_error(contiguous, Activation.NONE, tile) < 1e-6


def test_a_wrong_pixel_is_seen() -> None:
    """The check itself: one weight that is wrong by a thousandth gives an error above the limit."""
    operands = random_operands(0, 1, (6, 8), (3, 4), (8, 8, 16), (3, 3))
    tile = TileShape(rows=64, columns=16, depth=16, warps=4, stages=3)
    result = operands.empty_result()
    launch(result, operands, Activation.NONE, tile=tile, kernel=INTERPRETED)
    operands.own_weight[3, 2, 0, 1] += 1e-3
    right = expected(operands, Activation.NONE)
    assert float((result - right).abs().max() / right.abs().max()) > 1e-6


def test_nan_is_passed_on_and_an_empty_batch_is_nothing() -> None:
    tile = TileShape(rows=64, columns=16, depth=16, warps=4, stages=3)
    operands = random_operands(0, 1, (4, 4), (2, 2), (8, 8, 8), (1, 1))
    operands.own[0, 0, 1, 2] = torch.nan
    for activation in Activation:
        result = operands.empty_result()
        launch(result, operands, activation, tile=tile, kernel=INTERPRETED)
        assert result[0, :, 1, 2].isnan().all() and result.isnan().sum() == 8
    empty = random_operands(0, 0, (4, 4), (2, 2), (8, 8, 8), (1, 1))
    launch(empty.empty_result(), empty, Activation.NONE, tile=tile, kernel=INTERPRETED)
