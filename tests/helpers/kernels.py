"""Calls of the operator of `sfic_bench.kernels` with random operands, and what they must give."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sfic_bench.kernels import Activation
from sfic_bench.kernels.workload import Operands

Size = tuple[int, int]

GUARD = 257
"""Elements of poison on either side of a tensor: no multiple of a tile, so that accesses are unaligned too."""

FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    Activation.NONE: lambda x: x, Activation.RELU: torch.relu, Activation.RELU6: F.relu6, Activation.SILU: F.silu,
}  # fmt: skip


def expected(operands: Operands, activation: Activation) -> Tensor:
    """The definition of the operator in float64: two convolutions, torch's own resize, and sums."""
    own, own_weight, other, other_weight, bias, residual = (None if x is None else x.double() for x in operands)
    assert own is not None and own_weight is not None and other is not None and other_weight is not None
    padding = (own_weight.shape[2] // 2, own_weight.shape[3] // 2)
    total = torch.zeros(len(own), len(own_weight), *own.shape[2:], dtype=torch.float64)
    if own.shape[1]:
        total = total + F.conv2d(own, own_weight, padding=padding)
    if other.shape[1]:
        total = total + F.interpolate(F.conv2d(other, other_weight, padding=padding), size=own.shape[2:])
    total = total if bias is None else total + bias[:, None, None]
    return FUNCTIONS[activation](total if residual is None else total + residual)


def poisoned(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A channels-last tensor without values, in the middle of memory full of NaN, and all of that memory."""
    elements = torch.Size(shape).numel()
    memory = torch.full((elements + 2 * GUARD,), torch.nan, dtype=dtype)
    inside = memory[GUARD : GUARD + elements]
    if len(shape) < 4:
        return inside.view(shape), memory
    batch, channels, height, width = shape
    return inside.view(batch, height, width, channels).permute(0, 3, 1, 2), memory


def random_operands(
    seed: int,
    images: int,
    size: Size,
    other_size: Size,
    channels: tuple[int, int, int],
    kernel: Size,
    *,
    bias: bool = True,
    residual: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Operands:
    """Operands with random numbers, each in poisoned memory; ``channels`` are own, other and outputs."""
    generator = torch.Generator().manual_seed(seed)
    own, other, outputs = channels

    def drawn(*shape: int) -> Tensor:
        inside, _ = poisoned(shape, dtype)
        return inside.copy_(torch.randn(shape, generator=generator))

    return Operands(
        drawn(images, own, *size), drawn(outputs, own, *kernel), drawn(images, other, *other_size),
        drawn(outputs, other, *kernel), drawn(outputs) if bias else None,
        drawn(images, outputs, *size) if residual else None,
    )  # fmt: skip
