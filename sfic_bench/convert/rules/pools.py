"""Pools: over windows, and over all of a map, which makes a `Vector` of a pair."""

import torch
from torch import nn

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import EXACT, Operation
from sfic_bench.convert.rules.channelwise import channelwise
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import Single, Value

AS_MODULES: dict[str, type[nn.Module]] = {
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
}
"""Functions, and the modules that take the same arguments behind the tensor."""


def _gives_one_place(call: Call) -> bool:
    size = call.argument(1, "output_size") if call.module is None else call.module.output_size
    return size in (1, (1, 1), [1, 1])


@rule("max_pool2d", "avg_pool2d", ties=True)
@rule("adaptive_max_pool2d", ties=True, pools=_gives_one_place)
def pool_as_module(operation: Operation) -> Value:
    """A pool as a module, which `PerBranch` fits to a small F and to a branch without channels."""
    if not operation.pairs:
        return operation.as_in_vanilla(operation.common_channels())
    options = {name: value for name, value in operation.node.kwargs.items() if name != "input"}
    pool = AS_MODULES[operation.function.__name__](*operation.node.args[1:], **options)
    return operation.per_branch(pool, args=(operation.argument(0, "input"),))


# Both branches have the size that such a pool is to give.
rule(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, "adaptive_avg_pool2d", ties=True, pools=_gives_one_place)(channelwise)


def _axes(call: Call) -> list[int]:
    """The axes of ``[B, C, H, W]`` that a reduction is over; none where they are not known."""
    axes = call.argument(1, "dim")
    return sorted(axis % 4 for axis in (axes if isinstance(axes, list | tuple) else [axes]) if isinstance(axis, int))


def _keeps_axes(call: Call) -> bool:
    return bool(call.argument(2, "keepdim"))


def _pools_a_map(call: Call) -> bool:
    return _axes(call) == [2, 3] and _keeps_axes(call)


@rule("mean", "amax", ties=_pools_a_map, pools=_pools_a_map)
def mean_or_maximum(operation: Operation) -> Value:
    """A reduction of height and width; where they are not kept as axes, the vector lies in vanilla's order."""
    if _pools_a_map(operation):
        return channelwise(operation)
    if not operation.pairs or _axes(operation) != [2, 3]:
        return operation.as_in_vanilla(1 if _axes(operation) == [1] and _keeps_axes(operation) else None)
    pair = operation.per_branch(operation.function, args=(operation.argument(0, "input"), (2, 3), True))
    operation.explain("join", note=EXACT)
    joined = operation.building.join(pair)
    return Single(operation.building.graph.call_function(torch.flatten, (joined.node, 1)))
