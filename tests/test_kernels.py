"""The operator of Stage 2 on the CPU, where it is torch's convolutions: what it computes, and who sees through it."""

from collections.abc import Callable

import pytest
import torch
from helpers.command import run_python
from helpers.kernels import expected, random_operands
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx
from torch.utils.flop_counter import FlopCounterMode

from sfic_bench.choices import Kernels
from sfic_bench.convert import fuse, to_sfic
from sfic_bench.counting import count
from sfic_bench.errors import InvalidValue
from sfic_bench.kernels import Activation, Workload, interactive_conv
from sfic_bench.kernels.operator import _operator
from sfic_bench.kernels.workload import Operands
from sfic_bench.networks import registry
from sfic_bench.nn import scaled_size

Size = tuple[int, int]

RESIZES = [((4, 6), (2, 3)), ((4, 5), (3, 4)), ((3, 4), (6, 8)), ((4, 5), (6, 7)), ((3, 3), (3, 3)), ((8, 4), (1, 1))]
"""Sizes of a branch and of the other one: F enlarged, S reduced, by integers and by other ratios."""


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    beta=st.one_of(st.sampled_from([0.25, 0.5, 1.0]), st.floats(0.05, 1)),
    enlarges=st.booleans(),
    channels=st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6)),
    kernel=st.sampled_from([(1, 1), (3, 3), (5, 5), (1, 3)]),
    activation=st.sampled_from(list(Activation)),
    is_full=st.booleans(),
)
def test_two_convolutions_a_resize_and_sums(
    seed: int, size: Size, beta: float, enlarges: bool, channels: tuple[int, int, int], kernel: Size,
    activation: Activation, is_full: bool,
) -> None:  # fmt: skip
    own, other = (size, scaled_size(size, beta)) if enlarges else (scaled_size(size, beta), size)
    operands = random_operands(
        seed, 2, own, other, channels, kernel, bias=is_full, residual=is_full, dtype=torch.float64
    )
    result = interactive_conv(*operands, activation)
    torch.testing.assert_close(result, expected(operands, activation), rtol=1e-10, atol=1e-10)
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize(("size", "other"), RESIZES)
def test_gradients(size: Size, other: Size, activation: Activation) -> None:
    operands = random_operands(0, 1, size, other, (2, 3, 2), (3, 3), dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in operands if x is not None]
    assert torch.autograd.gradcheck(lambda *x: interactive_conv(*Operands(*x), activation), leaves)


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.SILU])
def test_gradients_of_gradients(activation: Activation) -> None:
    operands = random_operands(0, 1, (2, 3), (1, 2), (1, 2, 1), (1, 3), dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in operands if x is not None]
    assert torch.autograd.gradgradcheck(lambda *x: interactive_conv(*Operands(*x), activation), leaves)


def test_gradients_of_a_branch_without_channels() -> None:
    operands = random_operands(0, 1, (4, 4), (2, 2), (0, 3, 2), (3, 3), bias=False, residual=False)
    leaves = [x.clone().requires_grad_() for x in operands if x is not None]
    interactive_conv(*Operands(*leaves)).sum().backward()  # type: ignore[no-untyped-call]
    assert [x.grad is not None and x.grad.shape == x.shape for x in leaves] == [True] * 4


@pytest.mark.parametrize(("size", "other"), RESIZES)
def test_torch_accepts_the_operator(size: Size, other: Size) -> None:
    """Its schema, its shapes and strides without data, and its gradients under torch's compiler."""
    operands = random_operands(0, 2, size, other, (2, 3, 1), (3, 3))
    leaves = [None if x is None else x.clone().requires_grad_() for x in operands]
    torch.library.opcheck(_operator, (*leaves, "relu"))


def test_autocast_decides_the_number_format() -> None:
    operands = random_operands(0, 1, (4, 4), (2, 2), (2, 2, 3), (1, 1))
    with torch.autocast("cpu", torch.bfloat16):
        assert interactive_conv(*operands).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"own_weight": torch.zeros(3, 2, 2, 2)}, "odd height and width"),
        ({"own_weight": torch.zeros(3, 4, 3, 3)}, r"own_weight .* must be \[3, 2, 3, 3\], got \[3, 4, 3, 3\]"),
        ({"other_weight": torch.zeros(3, 2, 1, 1)}, r"other_weight .* must be \[3, 2, 3, 3\], got"),
        ({"other": torch.zeros(2, 2, 2, 2)}, r"other .* must be \[1, 2, 2, 2\]"),
        ({"other": torch.zeros(2, 2, 2)}, r"other .* must have four axes .*, got \[2, 2, 2\]"),
        ({"bias": torch.zeros(3, dtype=torch.float64)}, "bias .* torch.float32, as own has, got .* in torch.float64"),
        ({"bias": torch.zeros(4)}, r"bias .* must be \[3\], got \[4\]"),
        ({"residual": torch.zeros(1, 3, 2, 2)}, r"residual .* must be \[1, 3, 4, 4\]"),
    ],
)
def test_shapes_that_do_not_fit(changed: dict[str, Tensor], message: str) -> None:
    operands = random_operands(0, 1, (4, 4), (2, 2), (2, 2, 3), (3, 3))
    with pytest.raises(InvalidValue, match=message):
        interactive_conv(*operands._replace(**changed))


@pytest.mark.parametrize(
    ("size", "other", "pixels"),
    [
        ((8, 8), (4, 4), 16),  # each pixel of F once
        ((4, 4), (8, 8), 16),  # of S only what is kept
        ((8, 8), (1, 1), 4),  # enlarged 8 times: groups of 4 neighbours in each direction
        ((8, 8), (6, 6), 64),  # each pixel of F for each of S that takes it
        ((6, 6), (8, 8), 36),
    ],
)
def test_macs(size: Size, other: Size, pixels: int) -> None:
    """2 images · 7 outputs · 9 taps · (pixels of the result · 3 channels + pixels of the other convolution · 5)."""
    work = Workload.of_shapes((2, 3, *size), (7, 3, 3, 3), (2, 5, *other))
    assert work.macs == 2 * 7 * 9 * (size[0] * size[1] * 3 + pixels * 5)


@pytest.mark.parametrize(
    ("channels", "side", "apart"), [(47, 3, False), (48, 3, True), (425, 1, False), (426, 1, True)]
)
def test_what_is_multiplied_too_often_runs_apart(channels: int, side: int, apart: bool) -> None:
    """At β = ⅔, for each pixel of S and output, 5/9 · channels · taps products against 4/9 · 4 bytes of 133 products.

    The two are equal for channels · taps = 425.6; 47 · 9 = 423, and 48 · 9 = 432.
    """
    shapes = (1, 3, 6, 6), (7, 3, side, side), (1, channels, 4, 4)
    assert Workload.of_shapes(*shapes).is_cheaper_apart == apart


def test_pixels_that_nobody_reads() -> None:
    """A 1×1 convolution that keeps every second pixel of 8×8 reads 16; a 3×3 one all but the last row and column.

    Its windows end at row 7 of 0 … 7: centres 0, 2, 4, 6 and their neighbours.
    """
    shapes = (2, 3, 4, 4), (2, 5, 8, 8)
    assert Workload.of_shapes(shapes[0], (7, 3, 1, 1), shapes[1]).other_elements_skipped == 2 * 5 * (64 - 16)
    assert Workload.of_shapes(shapes[0], (7, 3, 3, 3), shapes[1]).other_elements_skipped == 0
    assert Workload.of_shapes((2, 3, 2, 2), (7, 3, 3, 3), shapes[1]).other_elements_skipped == 2 * 5 * (64 - 5 * 5)


@pytest.mark.parametrize("beta", [0.5, 0.75])
def test_every_counter_sees_the_same_macs(beta: float) -> None:
    """`count`, torch's FLOP counter, one compiled graph and an exported program."""
    reference = to_sfic(registry.build("resnet26"), alpha=0.5, beta=beta)
    fused = fuse(reference, kernels=Kernels.AUTO)
    x = torch.randn(1, 3, 64, 64)
    macs = count(fused, x.shape).macs
    if beta == 0.5:
        assert macs == count(fuse(reference), x.shape).macs

    def counted(run: Callable[..., object], *inputs: Tensor) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(*inputs)
        return int(counter.get_total_flops()) // 2

    compiled: list[tuple[int, int]] = []

    def backend(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        calls = sum("interactive_conv" in str(node.target) for node in graph.graph.nodes)
        compiled.append((calls, counted(graph.forward, *inputs)))
        return graph.forward

    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(fused, backend=backend, fullgraph=True, dynamic=False)(x)
    # 22 stages of two outputs. At β = .75 the two 3×3 convolutions of 128 channels of F in layer3 run by themselves.
    assert compiled == [(42 if beta == 0.75 else 44, macs)]
    assert counted(fused, x) == counted(torch.export.export(fused, (x,)).module(), x) == macs


def test_nothing_needs_triton() -> None:
    """The package without it: the operator runs and a GPU is told what to install."""
    code = """
import sys

class NoTriton:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "triton":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTriton)
import torch
from sfic_bench import kernels
from sfic_bench.kernels import launch

assert "triton" not in sys.modules
size = [torch.ones(1, 2, 4, 4), torch.ones(3, 2, 1, 1), torch.ones(1, 2, 2, 2), torch.ones(3, 2, 1, 1)]
assert kernels.interactive_conv(*size).unique().tolist() == [4.0]
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
