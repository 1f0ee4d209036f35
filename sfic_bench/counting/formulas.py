"""Sizes and multiply-adds (MACs) of operations, from shapes alone. One multiply-add is one MAC.

Output sizes follow the formulas in the documentation of `torch.nn` (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d); a
batch axis may be missing where torch allows it.
"""

from collections.abc import Sequence
from math import prod

Shape = tuple[int, ...]

PerAxis = int | Sequence[int]
"""One number for every spatial axis, or one for each of them."""


def per_axis(value: PerAxis, dims: int) -> Shape:
    """``value`` for each of ``dims`` spatial axes: torch takes ``3`` or ``(3,)`` for ``(3, 3)``."""
    if isinstance(value, int):
        return (value,) * dims
    return tuple(value) * dims if len(value) == 1 else tuple(value)


def conv_output(x: Shape, weight: Shape, stride: PerAxis, padding: PerAxis | str, dilation: PerAxis) -> Shape:
    """Output of a convolution with ``weight`` ``[c_out, c_in/groups, *kernel]``; callers must refuse sizes below 1."""
    kernel = weight[2:]
    dims = len(kernel)
    size = x[-dims:]
    if padding != "same":
        symmetric = 0 if isinstance(padding, str) else padding  # "valid" is none
        size = pool_output(size, kernel, stride, symmetric, dilation, False, dims)
    return (*x[: -dims - 1], weight[0], *size)


def conv_macs(elements: Shape, weight: Shape) -> int:
    """``elements of the output (transposed: of the input) · elements of the weight of one of its channels``."""
    return prod(elements) * prod(weight[1:])


def conv_skips(x: Shape, weight: Shape, stride: PerAxis, padding: PerAxis | str, dilation: PerAxis) -> int:
    """Elements of ``x`` that no output of a convolution depends on: a stride larger than the kernel jumps over them."""
    kernel = weight[2:]
    dims = len(kernel)
    s, d = per_axis(stride, dims), per_axis(dilation, dims)
    if padding == "same" or all(step == 1 for step in s):
        return 0
    p = per_axis(0 if isinstance(padding, str) else padding, dims)
    outputs = conv_output(x, weight, stride, padding, dilation)[-dims:]
    read = 1
    for i, n in enumerate(x[-dims:]):
        places = {o * s[i] - p[i] + k * d[i] for o in range(outputs[i]) for k in range(kernel[i])}
        read *= sum(0 <= place < n for place in places)
    return prod(x[:-dims]) * (prod(x[-dims:]) - read)


def conv_transpose_output(
    x: Shape, weight: Shape, stride: PerAxis, padding: PerAxis, output_padding: PerAxis, groups: int, dilation: PerAxis
) -> Shape:
    """Output of a transposed convolution with a ``weight`` ``[c_in, c_out/groups, *kernel]``."""
    kernel = weight[2:]
    dims = len(kernel)
    s, p, d = per_axis(stride, dims), per_axis(padding, dims), per_axis(dilation, dims)
    o = per_axis(output_padding, dims)
    size = ((n - 1) * s[i] - 2 * p[i] + d[i] * (kernel[i] - 1) + o[i] + 1 for i, n in enumerate(x[-dims:]))
    return (*x[: -dims - 1], weight[1] * groups, *size)


def pool_output(
    x: Shape, kernel: PerAxis, stride: PerAxis | None, padding: PerAxis, dilation: PerAxis, ceil_mode: bool, dims: int
) -> Shape:
    """Output of a max or average pool; with ``ceil_mode``, a last window must start inside the padded input."""
    k, p, d = per_axis(kernel, dims), per_axis(padding, dims), per_axis(dilation, dims)
    s = per_axis(stride, dims) if stride else k
    sizes = []
    for i, n in enumerate(x[-dims:]):
        room = n + 2 * p[i] - d[i] * (k[i] - 1) - 1
        size = (-(-room // s[i]) if ceil_mode else room // s[i]) + 1
        if ceil_mode and (size - 1) * s[i] >= n + p[i]:
            size -= 1
        sizes.append(size)
    return (*x[:-dims], *sizes)


def linear_macs(x: Shape, weight: Shape) -> int:
    """``rows · in · out`` for ``x`` ``[…, in]`` and ``weight`` ``[out, in]``."""
    return prod(x) * weight[0]


def matmul_output(a: Shape, b: Shape) -> Shape:
    """Output of `torch.matmul`, vectors and broadcast batches included."""
    rows = (a[-2],) if len(a) > 1 else ()
    columns = (b[-1],) if len(b) > 1 else ()
    return (*broadcast(a[:-2], b[:-2]), *rows, *columns)


def matmul_macs(a: Shape, b: Shape) -> int:
    """``elements of the output · length of the summed axis``."""
    return prod(matmul_output(a, b)) * a[-1]


def broadcast(a: Shape, b: Shape) -> Shape:
    """The common shape of two tensors in an elementwise operation."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    offset = len(longer) - len(shorter)
    return tuple(n if i < offset or shorter[i - offset] == 1 else shorter[i - offset] for i, n in enumerate(longer))
