"""Rules for the operations that multiply and add: convolutions, linear layers and matrix products."""

from math import prod

from torch import Tensor

from sfic_bench.counting import formulas
from sfic_bench.counting.formulas import PerAxis
from sfic_bench.counting.op import Effect, check_window, elements, shape_of
from sfic_bench.errors import InvalidValue
from sfic_bench.kernels import Workload


def convolution(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis | str = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Effect:
    """``conv1d``, ``conv2d`` or ``conv3d``."""
    x, w = shape_of(input), shape_of(weight)
    channels = x[-dims - 1]
    if channels != w[1] * groups:
        raise InvalidValue(
            f"a convolution with weight {list(w)} and groups={groups} needs {w[1] * groups} channels, got {channels}"
        )
    output = formulas.conv_output(x, w, stride, padding, dilation)
    check_window("conv", x, output, dims)
    macs = formulas.conv_macs(output, w)
    skipped = formulas.conv_skips(x, w, stride, padding, dilation)
    return Effect("conv", x, output, elements(input, weight, bias), w, bias is not None, macs, skipped)


def transposed_convolution(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Effect:
    """``conv_transpose1d``, ``conv_transpose2d`` or ``conv_transpose3d``."""
    x, w = shape_of(input), shape_of(weight)
    output = formulas.conv_transpose_output(x, w, stride, padding, output_padding, groups, dilation)
    check_window("conv_transpose", x, output, dims)
    macs = formulas.conv_macs(x, w)
    return Effect("conv_transpose", x, output, elements(input, weight, bias), w, bias is not None, macs)


def interactive_conv(
    own: Tensor,
    own_weight: Tensor,
    other: Tensor,
    other_weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Effect:
    """``sfic_bench::interactive_conv``, the operator of `sfic_bench.kernels`: one output of Stage 2."""
    x, w = shape_of(own), shape_of(own_weight)
    read = elements(own, own_weight, other, other_weight, bias, residual)
    work = Workload.of_shapes(x, w, shape_of(other))
    output = (x[0], w[0], *x[2:])
    return Effect("interactive_conv", x, output, read, w, bias is not None, work.macs, work.other_elements_skipped)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Effect:
    """``linear``: ``[…, in]`` to ``[…, out]``."""
    x, w = shape_of(input), shape_of(weight)
    if x[-1] != w[1]:
        raise InvalidValue(f"a linear layer with weight {list(w)} needs {w[1]} features, got {x[-1]}")
    macs = formulas.linear_macs(x, w)
    return Effect("linear", x, (*x[:-1], w[0]), elements(input, weight, bias), w, bias is not None, macs)


def product(kind: str, input: Tensor, other: Tensor) -> Effect:
    """``matmul``, ``mm``, ``bmm``, the operator ``@``, and the products with vectors, ``mv``, ``dot`` and ``vdot``."""
    a, b = shape_of(input), shape_of(other)
    output, macs = formulas.matmul_output(a, b), formulas.matmul_macs(a, b)
    return Effect(kind, a, output, elements(input, other), b, False, macs)


def attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Effect:
    """``scaled_dot_product_attention``: ``query`` times ``key``, and what comes of it times ``value``."""
    q, k, v = (shape_of(t) for t in (query, key, value))
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise InvalidValue(f"attention needs keys as long as queries, and a value for each, got {q}, {k} and {v}")
    macs = prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
    return Effect("attention", q, (*q[:-1], v[-1]), elements(query, key, value), macs=macs)
