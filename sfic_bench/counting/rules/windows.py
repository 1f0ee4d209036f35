"""Rules for operations that change height and width: pools, resizes and padding."""

from collections.abc import Sequence
from math import prod

from torch import Tensor

from sfic_bench.counting import formulas
from sfic_bench.counting.formulas import PerAxis
from sfic_bench.counting.op import Effect, check_window, elements, shape_of
from sfic_bench.errors import InvalidValue


def pool(
    kind: str,
    input: Tensor,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    *_: object,
    **__: object,
) -> Effect:
    """``max_pool2d``, and what ``avg_pool2d`` shares with it."""
    x = shape_of(input)
    output = formulas.pool_output(x, kernel_size, stride, padding, dilation, ceil_mode, 2)
    check_window(kind, x, output, 2)
    return Effect(kind, x, output, elements(input))


def average_pool(
    input: Tensor,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    *_: object,
    **__: object,
) -> Effect:
    """``avg_pool2d``, which has no dilation."""
    return pool("avg_pool", input, kernel_size, stride, padding, 1, ceil_mode)


def adaptive_pool(
    kind: str, input: Tensor, output_size: int | Sequence[int | None], *_: object, **__: object
) -> Effect:
    """``adaptive_avg_pool2d`` or ``adaptive_max_pool2d``; an output size of ``None`` keeps that axis."""
    x = shape_of(input)
    sizes = output_size if isinstance(output_size, Sequence) else (output_size, output_size)
    kept = (n if size is None else size for n, size in zip(x[-2:], sizes, strict=True))
    return Effect(kind, x, (*x[:-2], *kept), elements(input))


def interpolate(
    input: Tensor,
    size: PerAxis | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    *_: object,
    **__: object,
) -> Effect:
    """``interpolate``, to a size or by a factor."""
    x = shape_of(input)
    dims = len(x) - 2
    if size is None:
        if scale_factor is None:
            raise InvalidValue("interpolate needs a size or a scale_factor, got neither")
        factors = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor,) * dims
        size = tuple(int(n * f) for n, f in zip(x[2:], factors, strict=True))
    output = (*x[:2], *formulas.per_axis(size, dims))
    check_window("interpolate", x, output, dims)
    # Counters have rules by mode; nearest, the only mode that the method uses, has the plain name.
    kind = "interpolate" if mode == "nearest" else f"interpolate_{mode}"
    return Effect(kind, x, output, elements(input))


def pad(input: Tensor, pad: Sequence[int], *_: object, **__: object) -> Effect:
    """``pad``; ``pad`` says how much is added before and behind each axis, beginning with the last axis."""
    x = shape_of(input)
    output = list(x)
    for i in range(len(pad) // 2):
        output[-1 - i] += pad[2 * i] + pad[2 * i + 1]
    check_window("pad", x, tuple(output), len(pad) // 2)
    return Effect("pad", x, tuple(output), prod(x))
