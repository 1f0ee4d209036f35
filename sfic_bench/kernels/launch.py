"""Launching the kernel: whether it can run, its maps of pixels, and its arguments."""

import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from math import prod
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sfic_bench.extras import install_command
from sfic_bench.kernels.activation import Activation
from sfic_bench.kernels.tuning import tile_for
from sfic_bench.kernels.workload import Operands, TileShape


class TritonFunction(Protocol):
    """What Triton makes of a kernel; its index is the number of blocks of threads."""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]: ...


DTYPES = (torch.bfloat16, torch.float16, torch.float32)
"""Number formats of the kernel; it adds up in float32."""

LEAST_CAPABILITY = (8, 0)
"""The oldest compute capability whose matrix instructions take bfloat16."""

MOST_ELEMENTS = 2**31 - 1
"""The kernel counts elements in 32 bits."""


@cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


def lack(x: Tensor) -> str:
    """Why the kernel cannot run where ``x`` is, in its number format; ``""`` if it can."""
    if x.device.type != "cuda":
        return f"the Triton kernel needs a CUDA device, and this runs on {x.device.type}"
    if not has_triton():
        return f"the Triton kernel needs the package triton: {install_command('kernels')}"
    if torch.cuda.get_device_capability(x.device) < LEAST_CAPABILITY:
        return "the Triton kernel needs compute capability 8.0 (NVIDIA Ampere) or later"
    if x.dtype not in DTYPES:
        dtype = str(x.dtype).removeprefix("torch.")
        return f"the Triton kernel computes in bfloat16, float16 and float32, not in {dtype}"
    return ""


@cache
def pixel_map(source: int, target: int, device: torch.device) -> Tensor:
    """Which of ``source`` pixels each of ``target`` takes in torch's nearest-neighbour resize, int32 ``[target]``."""
    places = torch.arange(source, dtype=torch.float32, device=device)
    return F.interpolate(places[None, None], size=target, mode="nearest")[0, 0].to(torch.int32)


def fits(operands: Operands, result: Tensor) -> bool:
    """Whether the kernel can count the elements of all tensors."""
    return max(operands.own.numel(), operands.other.numel(), result.numel()) <= MOST_ELEMENTS


def launch(
    result: Tensor,
    operands: Operands,
    activation: Activation,
    *,
    tile: TileShape | None = None,
    kernel: TritonFunction | None = None,
) -> None:
    """Write what `sfic_bench.kernels.interactive_conv` returns into ``result``, which must be channels last.

    Operands that are not channels last are copied. ``tile`` is by default the best that is known, and ``kernel`` the
    Triton function that is compiled for the device.
    """
    if not result.numel():
        return
    function = kernel or _compiled_kernel()
    own, own_weight, other, other_weight, bias, residual = operands
    dense = [_dense(x) for x in (own, own_weight, other, other_weight)]
    addend = None if residual is None else _dense(residual)
    work, device = operands.workload, own.device
    maps = [pixel_map(source, target, device) for source, target in zip(work.other_size, work.size, strict=True)]
    products = work.images * prod(work.other_pixels)
    tf32 = own.dtype == torch.float32 and torch.backends.cudnn.allow_tf32

    def run(tile: TileShape) -> None:
        blocks = _parts(products, tile.rows // prod(work.repeat)) * _parts(work.outputs, tile.columns)
        function[(blocks,)](
            result, *dense, *maps, bias, addend,
            work.images, *work.size, *work.other_size, *(channels // work.unit for channels in work.channels),
            unit=work.unit,
            kernel_height=work.kernel[0], kernel_width=work.kernel[1],
            repeat_rows=work.repeat[0], repeat_columns=work.repeat[1],
            has_bias=bias is not None, has_residual=residual is not None,
            activation=str(activation), precision="tf32" if tf32 else "ieee",
            rows=tile.rows, columns=tile.columns, depth=tile.depth, num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip

    with torch.cuda.device(device) if own.is_cuda else nullcontext():
        run(tile or tile_for(work, device, run))


def _compiled_kernel() -> TritonFunction:
    from sfic_bench.kernels.source import interactive_conv_kernel  # imports Triton

    return interactive_conv_kernel  # type: ignore[no-any-return, unused-ignore]


def _dense(x: Tensor) -> Tensor:
    return x.detach().contiguous(memory_format=torch.channels_last)


def _parts(whole: int, part: int) -> int:
    return -(-whole // part)
