"""Operations that treat every channel by itself: they run on each branch, as they are."""

from functools import partial

from torch import fx, nn
from torch.fx.node import Argument

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import Operation
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import STANDARD, Value
from sfic_bench.nn.functions import DepthwiseConstant, ScaledTo, WithOptions, padded
from sfic_bench.nn.split import Size

MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.CELU, nn.SELU, nn.RReLU),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink),
    *(nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Threshold, nn.Dropout, nn.AlphaDropout, nn.Identity),
)
"""Modules without weights of their own that treat every number by itself."""

MODULES_OVER_PLACES = (*(nn.Dropout2d, nn.Upsample, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d),)
"""Modules without weights of their own that treat every channel by itself."""

FUNCTIONS = """
add iadd add_ sub isub sub_ mul imul mul_ div div_ truediv itruediv maximum minimum expand_as
relu relu_ relu6 leaky_relu elu gelu silu mish hardswish hardtanh softplus hardsigmoid sigmoid sigmoid_ tanh tanh_
clamp clamp_ neg abs exp sqrt rsqrt reciprocal log pow square erf clone detach to type_as type float half double
bfloat16 dropout dropout2d stochastic_depth drop_path addcmul lerp where softsign logsigmoid sin cos
"""
"""Functions of one tensor or two."""


@rule(*MODULES_OVER_PLACES, ties=True)
def over_places(operation: Operation) -> Value:
    """On pairs, the operation of each branch, whose height and width must be the last axes."""
    if operation.axes != STANDARD:
        raise operation.refusal(f"{operation.description} acts on other axes than height and width")
    return channelwise(operation)


@rule(*MODULES, *FUNCTIONS.split(), ties=True)
def channelwise(operation: Operation) -> Value:
    """On pairs, the operation of each branch; pairs that are split differently are brought together first."""
    if not operation.pairs:
        return operation.as_in_vanilla(operation.common_channels())
    if operation.module is None:
        return operation.per_branch(operation.function)
    # A copy of the module, even where modules are shared: with two parents, counters would count it twice. Its name
    # is a new one, since it may serve single tensors as well.
    return operation.per_branch(operation.module, name=f"{operation.path}_pair")


def _pads_height_and_width(call: Call) -> bool:
    amounts = call.argument(1, "pad")
    return isinstance(amounts, list | tuple) and len(amounts) <= 4


@rule("pad", ties=_pads_height_and_width)
def padding(operation: Operation) -> Value:
    """Padding of height and width; padding of channels has no meaning on a pair."""
    if not operation.pairs or operation.axes != STANDARD or not _pads_height_and_width(operation):
        return operation.as_in_vanilla(operation.common_channels())
    options = {"mode": operation.argument(2, "mode", "constant"), "value": operation.argument(3, "value")}
    args = (operation.argument(0, "input"), operation.argument(1, "pad"))
    return operation.per_branch(WithOptions(padded, **options), args=args)


@rule(nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d, ties=True)
def padding_as_module(operation: Operation) -> Value:
    """Padding of height and width."""
    module = operation.module
    assert isinstance(module, nn.ReflectionPad2d | nn.ReplicationPad2d | nn.ConstantPad2d)
    if not operation.pairs:
        return operation.as_in_vanilla(operation.common_channels())
    if operation.axes != STANDARD:
        raise operation.refusal(f"{operation.description} acts on other axes than height and width")
    modes = {nn.ReflectionPad2d: "reflect", nn.ReplicationPad2d: "replicate"}
    mode = next((mode for kind, mode in modes.items() if isinstance(module, kind)), "constant")
    value = getattr(module, "value", None)
    return operation.per_branch(WithOptions(padded, pad=module.padding, mode=mode, value=value))


@rule("interpolate", "upsample", "upsample_nearest", ties=True)
def scaling(operation: Operation) -> Value:
    """Another height and width: by a factor on each branch; to a size, F keeps its scale to S."""
    size = operation.argument(1, "size")
    if size is None or not operation.pairs:
        return channelwise(operation)
    if operation.axes != STANDARD:
        return operation.as_in_vanilla()
    options = {name: value for name, value in operation.node.kwargs.items() if name not in ("input", "size")}
    size = fx.map_arg(size, lambda node: operation.tensor(operation.values[node]))
    return operation.on_pair(ScaledTo(partial(operation.function, **options)), size)


def _may_be_depthwise(call: Call) -> bool:
    groups = call.argument(6, "groups", 1)
    return not isinstance(groups, int) or groups > 1


def _per_axis(option: object) -> Size:
    match option:
        case int():
            return option, option
        case [int(height), int(width)]:
            return height, width
    raise ValueError(f"an option of conv2d is {option!r}, expected one or two integers")


@rule("conv2d", ties=_may_be_depthwise)
def convolution_with_given_weights(operation: Operation) -> Value:
    """A depthwise convolution whose weights are no layer's, as of a blur; each branch has its channels' weights."""
    options = (("stride", 1), ("padding", 0), ("dilation", 1))
    facts, weight, bias = operation.conversion.facts, operation.argument(1, "weight"), operation.argument(2, "bias")
    if len(operation.pairs) != 1 or operation.inputs[0] is not operation.pairs[0] or operation.axes != STANDARD:
        return operation.as_in_vanilla()
    (pair,) = operation.pairs
    shape = facts.shape(weight) if isinstance(weight, fx.Node) else None
    if shape is None or shape[:2] != (pair.layout.total, 1):
        raise operation.refusal(f"its weights are {shape}, expected ({pair.layout.total}, 1, k, k)")
    given = (facts.value(operation.argument(place, *option)) for place, option in enumerate(options, 3))
    try:
        module = DepthwiseConstant(*pair.layout, *map(_per_axis, given))
    except ValueError as error:
        raise operation.refusal(str(error)) from error
    tensors: list[Argument] = [
        operation.tensor(operation.values[node]) for node in (weight, bias) if isinstance(node, fx.Node)
    ]
    return operation.on_pair(module, *tensors)
