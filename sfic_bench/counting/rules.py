"""What a call of a torch function does to shapes: the knowledge that the trace is made of.

Every rule has the signature of the function that it speaks for, so that Python itself sorts out
positional and keyword arguments, and returns an `Effect`. Nothing is computed. A function without a
rule is run on the meta device instead (see `trace`), and conventions report it as unsupported.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from sfic_bench.counting import formulas
from sfic_bench.counting.formulas import Shape
from sfic_bench.errors import InvalidValue


class Effect(NamedTuple):
    """``input`` is the first tensor's shape, ``read`` the elements of every tensor that is read.

    ``skipped`` is how many of those no output depends on.
    """

    kind: str
    input: Shape
    output: Shape
    read: int
    weight: Shape = ()
    bias: bool = False
    macs: int | None = 0
    skipped: int = 0


class InputTooSmall(InvalidValue):
    """The input has shrunk below one pixel somewhere inside the network."""


def _shape(x: Any) -> Shape:
    return tuple(x.shape)


def _elements(*tensors: Any) -> int:
    return sum(prod(t.shape) for t in tensors if t is not None)


def _check(kind: str, x: Shape, output: Shape, dims: int) -> None:
    if min(output[-dims:]) < 1:
        size = "×".join(map(str, x[-dims:]))
        raise InputTooSmall(f"{kind} gets {size}, which is less than its window")


def _conv(dims: int) -> Callable[..., Effect]:
    def rule(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Effect:
        x, w = _shape(input), _shape(weight)
        channels = x[-dims - 1]
        if channels != w[1] * groups:
            raise InvalidValue(
                f"a convolution with weight {list(w)} and groups={groups} needs "
                f"{w[1] * groups} channels, got {channels}"
            )
        output = formulas.conv_output(x, w, stride, padding, dilation)
        _check("conv", x, output, dims)
        macs = formulas.conv_macs(output, w)
        read = _elements(input, weight, bias)
        skipped = formulas.conv_skips(x, w, stride, padding, dilation)
        return Effect("conv", x, output, read, w, bias is not None, macs, skipped)

    return rule


def _conv_transpose(dims: int) -> Callable[..., Effect]:
    def rule(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Effect:
        x, w = _shape(input), _shape(weight)
        output = formulas.conv_transpose_output(x, w, stride, padding, output_padding, groups, dilation)
        _check("conv_transpose", x, output, dims)
        macs = formulas.conv_transpose_macs(x, w)
        read = _elements(input, weight, bias)
        return Effect("conv_transpose", x, output, read, w, bias is not None, macs)

    return rule


def _linear(input: Any, weight: Any, bias: Any = None) -> Effect:
    x, w = _shape(input), _shape(weight)
    if x[-1] != w[1]:
        raise InvalidValue(f"a linear layer with weight {list(w)} needs {w[1]} features, got {x[-1]}")
    macs = formulas.linear_macs(x, w)
    read = _elements(input, weight, bias)
    return Effect("linear", x, (*x[:-1], w[0]), read, w, bias is not None, macs)


def _matmul(input: Any, other: Any) -> Effect:
    a, b = _shape(input), _shape(other)
    output, macs = formulas.matmul_output(a, b), formulas.matmul_macs(a, b)
    return Effect("matmul", a, output, _elements(input, other), b, False, macs)


def _batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    *_: Any,
    **__: Any,
) -> Effect:
    x = _shape(input)
    read = _elements(input, running_mean, running_var, weight, bias)
    return Effect("batch_norm", x, x, read, bias=weight is not None)


def _group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, *_: Any, **__: Any
) -> Effect:
    x = _shape(input)
    return Effect("group_norm", x, x, _elements(input, weight, bias), bias=weight is not None)


def _layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, *_: Any, **__: Any
) -> Effect:
    x = _shape(input)
    return Effect("layer_norm", x, x, _elements(input, weight, bias), bias=weight is not None)


def _pool(kind: str) -> Callable[..., Effect]:
    def average(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        *_: Any,
        **__: Any,
    ) -> Effect:
        return maximum(input, kernel_size, stride, padding, 1, ceil_mode)

    def maximum(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Effect:
        x = _shape(input)
        output = formulas.pool_output(x, kernel_size, stride, padding, dilation, ceil_mode)
        _check(kind, x, output, 2)
        return Effect(kind, x, output, _elements(input))

    return average if kind == "avg_pool" else maximum


def _adaptive_pool(kind: str) -> Callable[..., Effect]:
    def rule(input: Any, output_size: Any, return_indices: bool = False) -> Effect:
        x = _shape(input)
        wanted = output_size if isinstance(output_size, Sequence) else (output_size, output_size)
        size = (n if w is None else w for n, w in zip(x[-2:], wanted, strict=True))
        return Effect(kind, x, (*x[:-2], *size), _elements(input))

    return rule


def _interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", *_: Any, **__: Any
) -> Effect:
    x = _shape(input)
    dims = len(x) - 2
    if size is None:
        factors = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor,) * dims
        size = tuple(int(n * f) for n, f in zip(x[2:], factors, strict=True))
    output = (*x[:2], *formulas.as_many(size, dims))
    _check("interpolate", x, output, dims)
    # Counters have rules by mode; nearest, the only one that the method uses, has the plain name.
    kind = "interpolate" if mode == "nearest" else f"interpolate_{mode}"
    return Effect(kind, x, output, _elements(input))


def _unary(kind: str) -> Callable[..., Effect]:
    def rule(input: Any, *rest: Any, **options: Any) -> Effect:
        x = _shape(input)
        return Effect(kind, x, x, prod(x))

    return rule


def _prelu(input: Any, weight: Any) -> Effect:
    x = _shape(input)
    return Effect("prelu", x, x, _elements(input, weight))


def _binary(kind: str) -> Callable[..., Effect]:
    def rule(input: Any, other: Any, **options: Any) -> Effect:
        a, b = (() if isinstance(t, int | float) else _shape(t) for t in (input, other))
        return Effect(kind, a or b, formulas.broadcast(a, b), prod(a) + prod(b))

    return rule


def _cat(tensors: Sequence[Any], dim: int = 0, **options: Any) -> Effect:
    shapes = [_shape(t) for t in tensors]
    first = shapes[0]
    axis = options.get("axis", dim) % len(first)
    output = (*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :])
    return Effect("cat", first, output, _elements(*tensors))


def _index_select(input: Any, dim: int, index: Any) -> Effect:
    x = _shape(input)
    axis = dim % len(x)
    output = (*x[:axis], len(index), *x[axis + 1 :])
    return Effect("index_select", x, output, prod(output))


def _pad(input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Effect:
    x = _shape(input)
    output = list(x)
    for i in range(len(pad) // 2):  # from the last axis backwards
        output[-1 - i] += pad[2 * i] + pad[2 * i + 1]
    _check("pad", x, tuple(output), len(pad) // 2)
    return Effect("pad", x, tuple(output), prod(x))


def _reduction(kind: str) -> Callable[..., Effect]:
    def rule(input: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Effect:
        x = _shape(input)
        axes = range(len(x)) if dim is None else (dim,) if isinstance(dim, int) else dim
        gone = {axis % len(x) for axis in axes}
        kept = ((i, n) for i, n in enumerate(x) if keepdim or i not in gone)
        return Effect(kind, x, tuple(1 if i in gone else n for i, n in kept), prod(x))

    return rule


def _one_hot(input: Any, num_classes: int = -1) -> Effect:
    x = _shape(input)
    if num_classes < 0:
        raise InvalidValue("one_hot without num_classes needs the values of a tensor")
    return Effect("one_hot", x, (*x, num_classes), prod(x))


_UNARY = (
    "celu elu gelu hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 selu "
    "sigmoid silu softmax log_softmax softplus tanh exp log sqrt rsqrt abs neg square pow clamp"
)
_BINARY = {
    **dict.fromkeys(("add", "__radd__", "sub", "rsub", "__rsub__"), "add"),
    **dict.fromkeys(("mul", "__rmul__", "multiply"), "mul"),
    **dict.fromkeys(("div", "true_divide", "__rdiv__", "__rtruediv__"), "div"),
}

RULES: dict[str, Callable[..., Effect]] = {
    **{f"conv{n}d": _conv(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _conv_transpose(n) for n in (1, 2, 3)},
    "linear": _linear,
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm"), _matmul),
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "max_pool2d": _pool("max_pool"),
    "avg_pool2d": _pool("avg_pool"),
    "adaptive_avg_pool2d": _adaptive_pool("adaptive_avg_pool"),
    "adaptive_max_pool2d": _adaptive_pool("adaptive_max_pool"),
    "interpolate": _interpolate,
    "prelu": _prelu,
    "cat": _cat,
    "concat": _cat,
    "index_select": _index_select,
    "pad": _pad,
    **{name: _reduction(name) for name in ("mean", "sum", "argmax")},
    "one_hot": _one_hot,
    **{name: _unary(name) for name in _UNARY.split()},
    **{name: _binary(kind) for name, kind in _BINARY.items()},
}
"""By ``__name__`` of the torch function; an in-place form (``relu_``) has the rule of its plain one."""

VIEWS = frozenset(
    [
        "__getitem__",
        "chunk",
        "clone",
        "contiguous",
        "detach",
        "dropout",
        "dropout2d",
        "expand",
        "expand_as",
        "flatten",
        "narrow",
        "permute",
        "reshape",
        "select",
        "split",
        "squeeze",
        "stack_views",
        "swapaxes",
        "t",
        "to",
        "transpose",
        "unbind",
        "unflatten",
        "unsqueeze",
        "view",
        "view_as",
        "view_as_complex",
        "view_as_real",
        "type_as",
        "identity",
        "alias",
        "broadcast_to",
        "movedim",
        "float",
        "half",
        "double",
        "new_empty",
        "new_zeros",
        "empty_like",
        "zeros_like",
        "ones_like",
        "full_like",
        "new_ones",
        "new_full",
        "arange",
        "empty",
        "zeros",
        "ones",
        "full",
        "requires_grad_",
        "channel_shuffle",
        "native_channel_shuffle",
        "pixel_shuffle",
        "roll",
        "flip",
        "_set_grad_enabled",
        "set_grad_enabled",
    ]
)
"""Moves or names data without arithmetic; not operations. Dropout is one because counts are of inference."""
