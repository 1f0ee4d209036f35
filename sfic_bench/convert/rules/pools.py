"""Pools: over windows, and over all of a map, which makes a `Vector` of a pair."""

from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.fx.node import Argument

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import EXACT, Operation
from sfic_bench.convert.rules.channelwise import over_places
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import STANDARD, Single, Value
from sfic_bench.nn.functions import OverPlaces, WithOptions

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
    if operation.axes != STANDARD:
        raise operation.refusal("it pools other axes than height and width")
    if len(operation.node.all_input_nodes) > 1:
        raise operation.refusal("its window is computed, and a module has a fixed one")
    options = {name: value for name, value in operation.node.kwargs.items() if name != "input"}
    pool = AS_MODULES[operation.function.__name__](*operation.node.args[1:], **options)
    return operation.per_branch(pool, args=(operation.argument(0, "input"),))


# Both branches have the size that such a pool is to give.
rule(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, "adaptive_avg_pool2d", ties=True, pools=_gives_one_place)(over_places)


def _axes(call: Call, place: int = 1) -> list[int]:
    """The axes of ``[B, C, H, W]`` that a reduction is over; none where they are not known."""
    given = call.argument(place, "dim", call.argument(place, "axis"))
    axes = [axis for axis in (given if isinstance(given, list | tuple) else [given]) if isinstance(axis, int)]
    return sorted(call.axes[axis] for axis in axes if -len(call.axes) <= axis < len(call.axes))


def _keeps_axes(call: Call, place: int = 2) -> bool:
    return bool(call.argument(place, "keepdim", call.argument(place, "keepdims")))


def _pools_a_map(call: Call) -> bool:
    return _axes(call) == [2, 3] and _keeps_axes(call)


@rule("mean", "amax", "amin", ties=_pools_a_map, pools=_pools_a_map)
def mean_or_maximum(operation: Operation) -> Value:
    """A reduction of height and width; where they are not kept as axes, the vector lies in vanilla's order."""
    if not operation.pairs or _axes(operation) != [2, 3]:
        return operation.as_in_vanilla(1 if _axes(operation) == [1] and _keeps_axes(operation) else None)
    pair = operation.per_branch(operation.function, args=(operation.argument(0, "input"), (2, 3), True))
    if _keeps_axes(operation):
        return pair
    operation.explain("join", note=EXACT)
    joined = operation.building.join(replace(pair, axes=STANDARD))
    return Single(operation.building.graph.call_function(torch.flatten, (joined.node, 1)))


def _varies_over_a_map(call: Call) -> bool:
    return _axes(call) == [2, 3] and _keeps_axes(call, 3)


@rule("var", "std", ties=_varies_over_a_map, pools=_varies_over_a_map)
def variance(operation: Operation) -> Value:
    """The variance or standard deviation of each channel over height and width."""
    if not operation.pairs or not _varies_over_a_map(operation):
        return operation.as_in_vanilla()
    options = {name: value for name, value in operation.node.kwargs.items() if name in ("unbiased", "correction")}
    if len(operation.node.args) > 2:
        options["unbiased"] = operation.node.args[2]
    module = WithOptions(operation.function, dim=(2, 3), keepdim=True, **options)
    return operation.per_branch(module, args=(operation.argument(0, "input"),))


def _sums_a_map(call: Call) -> bool:
    return _summed(call) == [2, 3] and _keeps_axes(call, _place_of_axes(call) + 1)


def _place_of_axes(call: Call) -> int:
    return 1 if call.description in (".sum()", "torch.sum") else 2


def _summed(call: Call) -> list[int]:
    return _axes(call, _place_of_axes(call))


@rule("sum", "norm", "linalg_vector_norm", ties=_sums_a_map, pools=_sums_a_map)
def sum_over_places(operation: Operation) -> Value:
    """A sum over all places or a norm; that of F counts each of its places as the places of S that it covers."""
    if not operation.pairs or not _sums_a_map(operation):
        return operation.as_in_vanilla()
    options: dict[str, Argument] = {}
    power = 1.0
    if _place_of_axes(operation) == 2:
        order = operation.argument(1, "p", operation.node.kwargs.get("ord", 2))
        if not isinstance(order, int | float) or order <= 0:
            raise operation.refusal(f"it is a norm of order {order}, expected a number above 0")
        options, power = {"p" if "p" in operation.node.kwargs or operation.is_method else "ord": order}, 1 / order
    module = OverPlaces(partial(operation.function, dim=(2, 3), keepdim=True, **options), power)
    return operation.on_pair(module)
