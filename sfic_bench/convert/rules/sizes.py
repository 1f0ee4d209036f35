"""Sizes of pairs: those of the vanilla tensor, which S has save for the channels."""

import operator

from torch import Tensor

from sfic_bench.convert.operation import Operation
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import STANDARD, Axes, Paired, Single, Value
from sfic_bench.nn import Pair


def vanilla_shape(value: Pair | Tensor, channels: int, axes: Axes = STANDARD) -> tuple[int, ...]:
    """The shape of the vanilla tensor that a pair, or in a fused network a joined tensor, stands for."""
    tensor = value if isinstance(value, Tensor) else value.spatial
    shape = (tensor.shape[0], channels, *tensor.shape[2:])
    return tuple([shape[axis] for axis in axes])


def attribute_of_branches(value: Pair | Tensor, name: str) -> object:
    """An attribute that both branches have alike, such as the number format."""
    return getattr(value if isinstance(value, Tensor) else value.spatial, name)


@rule("size", "dim", "getattr")
def size(operation: Operation) -> Value:
    """A pair's shape, one of its lengths, the number of its axes, or an attribute of its tensors."""
    value = operation.inputs[0]
    attribute = operation.node.target if operation.is_method else operation.argument(1, "name")
    graph, is_size = operation.building.graph, attribute in ("size", "shape", "dim", "ndim")
    if isinstance(value, Paired) and attribute in ("dtype", "device", "is_cuda", "is_meta", "layout"):
        return Single(graph.call_function(attribute_of_branches, (value.node, attribute)), 0)
    if not isinstance(value, Paired) or not is_size:
        return operation.as_in_vanilla(0 if is_size else None)
    shape = graph.call_function(vanilla_shape, (value.node, value.layout.total, value.axes))
    if attribute in ("dim", "ndim"):
        return Single(graph.call_function(len, (shape,)), 0)
    axis = operation.argument(1, "dim") if attribute == "size" else None
    return Single(shape if axis is None else graph.call_function(operator.getitem, (shape, axis)), 0)


@rule("int", "round", "ceil", "floor", "trunc", "max", "min")
def number(operation: Operation) -> Value:
    """A number that is computed from sizes, or what torch's function of that name gives."""
    is_of_sizes = all(isinstance(value, Single) and value.channels == 0 for value in operation.inputs)
    return operation.as_in_vanilla(0 if is_of_sizes else None)


@rule("floordiv", "mod")
def arithmetic(operation: Operation) -> Value:
    """Arithmetic with sizes, whose result is the same for all channels."""
    return operation.as_in_vanilla(operation.common_channels())
