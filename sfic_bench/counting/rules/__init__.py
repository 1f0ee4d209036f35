"""What a call of a torch function does to shapes.

Every rule has the signature of the function that it stands for, so that Python itself sorts out positional and
keyword arguments, and returns an `Effect`. Nothing is computed. A function without a rule is run on the meta
device instead (see `sfic_bench.counting.trace`), and conventions report it as unsupported.

To add a rule, write it in the file of its family and enter it in `RULES`.
"""

from collections.abc import Mapping

from sfic_bench.counting.rules import axes, elementwise, norms, products, windows
from sfic_bench.counting.rules.effect import Effect, InputTooSmall, ShapeRule

__all__ = ["RULES", "VIEWS", "Effect", "InputTooSmall", "ShapeRule"]

_UNARY = """
celu clamp elu exp abs gelu hardsigmoid hardswish hardtanh leaky_relu log log_softmax logsigmoid mish neg pow relu
relu6 rsqrt selu sigmoid silu softmax softplus sqrt square tanh
"""
_BINARY = {
    "add": "add __radd__ sub rsub __rsub__",
    "mul": "mul __rmul__ multiply",
    "div": "div true_divide __rdiv__ __rtruediv__",
}

RULES: Mapping[str, ShapeRule] = {
    **{f"conv{n}d": products.convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": products.transposed_convolution(n) for n in (1, 2, 3)},
    "linear": products.linear,
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm"), products.matmul),
    "batch_norm": norms.batch_norm,
    "group_norm": norms.group_norm,
    "layer_norm": norms.layer_norm,
    "max_pool2d": windows.max_pool,
    "avg_pool2d": windows.average_pool,
    "adaptive_avg_pool2d": windows.adaptive_pool("adaptive_avg_pool"),
    "adaptive_max_pool2d": windows.adaptive_pool("adaptive_max_pool"),
    "interpolate": windows.interpolate,
    "pad": windows.pad,
    "prelu": elementwise.prelu,
    **{name: elementwise.unary(name) for name in _UNARY.split()},
    **{name: elementwise.binary(kind) for kind, names in _BINARY.items() for name in names.split()},
    **dict.fromkeys(("cat", "concat"), axes.cat),
    "index_select": axes.index_select,
    **{name: axes.reduction(name) for name in ("mean", "sum", "argmax")},
    "one_hot": axes.one_hot,
}
"""By ``__name__`` of the torch function; an in-place form (``relu_``) has the rule of its plain one."""

_MOVED = """
__getitem__ alias broadcast_to channel_shuffle chunk clone contiguous detach dropout dropout2d expand expand_as flatten
flip identity movedim narrow native_channel_shuffle permute pixel_shuffle reshape roll select split squeeze stack_views
swapaxes t transpose unbind unflatten unsqueeze view view_as view_as_complex view_as_real
"""
_CONVERTED = "double float half requires_grad_ to type_as _set_grad_enabled set_grad_enabled"
_CREATED = """
arange empty empty_like full full_like new_empty new_full new_ones new_zeros ones ones_like zeros zeros_like
"""

VIEWS = frozenset((_MOVED + _CONVERTED + _CREATED).split())
"""Functions that move, convert or create data without arithmetic, and are no operations.

Dropout is one of them, because counts are of inference.
"""
