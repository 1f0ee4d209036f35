"""Operations that treat every channel by itself: they run on each branch, as they are."""

import copy

from torch import nn

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import Operation
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import Value

MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.CELU, nn.SELU),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus, nn.LogSigmoid),
    *(nn.Dropout, nn.Dropout2d, nn.Identity, nn.Upsample, nn.MaxPool2d, nn.AvgPool2d),
    *(nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d),
)
"""Modules without weights of their own."""

FUNCTIONS = """
add iadd add_ sub isub sub_ mul imul mul_ div div_ truediv itruediv maximum minimum expand_as
relu relu_ relu6 leaky_relu elu gelu silu mish hardswish hardtanh softplus hardsigmoid sigmoid sigmoid_ tanh tanh_
clamp clamp_ neg abs exp sqrt clone detach to float dropout dropout2d stochastic_depth drop_path
"""
"""Functions of one tensor or two."""


@rule(*MODULES, *FUNCTIONS.split(), ties=True)
def channelwise(operation: Operation) -> Value:
    """On pairs, the operation of each branch; pairs that are split differently are brought together first."""
    if not operation.pairs:
        return operation.as_in_vanilla(operation.common_channels())
    if operation.module is None:
        return operation.per_branch(operation.function)
    # The module is copied even where modules are shared: with two parents, counters would count it twice. Its name
    # is a new one, since it may serve single tensors as well.
    return operation.per_branch(copy.deepcopy(operation.module), name=f"{operation.path}_pair")


def _pads_height_and_width(call: Call) -> bool:
    amounts = call.argument(1, "pad")
    return isinstance(amounts, list | tuple) and len(amounts) <= 4


@rule("pad", ties=_pads_height_and_width)
def padding(operation: Operation) -> Value:
    """Padding of height and width; padding of channels has no meaning on a pair."""
    return channelwise(operation) if _pads_height_and_width(operation) else operation.as_in_vanilla()
