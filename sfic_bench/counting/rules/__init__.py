"""What a call of a torch function does to shapes.

Every rule takes the arguments of the function that it stands for, so that Python itself sorts out positional and
keyword arguments, and returns an `Effect`. A rule that serves several functions takes the kind of operation, or its
number of spatial axes, first. A function without a rule is run on the meta device instead (see
`sfic_bench.counting.recorder`), and conventions report it as unsupported.

To add a rule, write it in the file of its family and enter it in `RULES`.
"""

from collections.abc import Mapping
from functools import partial

from sfic_bench.counting.op import ShapeRule
from sfic_bench.counting.rules import axes, elementwise, products, windows

_UNARY = """
celu clamp cos elu erf exp abs gelu hardsigmoid hardswish hardtanh leaky_relu log log_softmax logsigmoid mish neg
normalize pow reciprocal relu relu6 rsqrt selu sigmoid silu sin softmax softplus sqrt square tanh
"""
_BINARY = {
    "add": "add __radd__ sub rsub __rsub__",
    "mul": "mul __rmul__ multiply",
    "div": "div true_divide __rdiv__ __rtruediv__",
    "maximum": "maximum minimum",
}

RULES: Mapping[str, ShapeRule] = {
    **{f"conv{n}d": partial(products.convolution, n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": partial(products.transposed_convolution, n) for n in (1, 2, 3)},
    "interactive_conv": products.interactive_conv,
    "linear": products.linear,
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm"), partial(products.product, "matmul")),
    **{name: partial(products.product, name) for name in ("mv", "dot", "vdot")},
    "scaled_dot_product_attention": products.attention,
    **{name: partial(elementwise.norm_with_statistics, name) for name in ("batch_norm", "instance_norm")},
    **{name: partial(elementwise.norm, name) for name in ("group_norm", "layer_norm", "rms_norm")},
    "max_pool2d": partial(windows.pool, "max_pool"),
    "avg_pool2d": windows.average_pool,
    **{f"{name}2d": partial(windows.adaptive_pool, name) for name in ("adaptive_avg_pool", "adaptive_max_pool")},
    "interpolate": windows.interpolate,
    "pad": windows.pad,
    "prelu": elementwise.prelu,
    "_weight_norm": elementwise.weight_norm,
    "addcmul": elementwise.addcmul,
    **{name: partial(elementwise.unary, name) for name in _UNARY.split()},
    **{name: partial(elementwise.binary, kind) for kind, names in _BINARY.items() for name in names.split()},
    **dict.fromkeys(("cat", "concat"), axes.cat),
    "index_select": axes.index_select,
    "stack": axes.stack,
    **{name: partial(axes.reduction, name) for name in ("mean", "sum", "argmax", "amax", "amin")},
    **{name: partial(axes.spread, name) for name in ("var", "std")},
    **{name: partial(axes.norm_of_vector, name) for name in ("norm", "linalg_vector_norm")},
    "one_hot": axes.one_hot,
}
"""The rules by ``__name__`` of the torch function; an in-place function (``relu_``) has the rule of the plain one."""

_MOVED = """
__getitem__ alias broadcast_to channel_shuffle chunk clone contiguous detach dropout dropout2d expand expand_as flatten
flip identity movedim narrow native_channel_shuffle permute pixel_shuffle reshape reshape_as roll select split squeeze
stack_views swapaxes t transpose unbind unflatten unsqueeze view view_as view_as_complex view_as_real
"""
_CONVERTED = "double float half requires_grad_ to type_as _set_grad_enabled set_grad_enabled"
_CREATED = """
arange empty empty_like full full_like new_empty new_full new_ones new_zeros ones ones_like zeros zeros_like
"""

WITHOUT_MACS = frozenset(("std_mean", "var_mean"))
"""Functions with several results, which no rule describes, that multiply and add nothing."""

VIEWS = frozenset((_MOVED + _CONVERTED + _CREATED).split())
"""Functions that move, convert or create data without arithmetic, and are no operations.

Dropout is one of them, because counts are of inference.
"""
