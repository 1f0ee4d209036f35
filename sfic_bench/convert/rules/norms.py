"""Norms, whose weights are dealt out to the branches."""

from dataclasses import replace

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import Operation
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import Value, Vector
from sfic_bench.convert.weights import dealt_norm
from sfic_bench.nn import PerBranch


def _is_over_channels(call: Call) -> bool:
    """Whether the channels of a norm's input lie where a pair has them.

    torch's own LayerNorm normalises the last axes; the 2d kind of other libraries normalises [B, C, H, W] over C.
    """
    return not isinstance(call.module, nn.LayerNorm) or call.description.startswith("LayerNorm2d")


@rule(_BatchNorm, nn.GroupNorm, nn.LayerNorm, ties=_is_over_channels)
def norm(operation: Operation) -> Value:
    """A norm of each branch over its own channels; one over several channels acts on a vector as in vanilla."""
    module, path = operation.module, operation.path
    assert module is not None
    if not operation.pairs:
        return operation.as_in_vanilla(operation.common_channels())
    (pair,) = operation.pairs
    mixes_channels = isinstance(pair, Vector) and not isinstance(module, _BatchNorm)
    if mixes_channels or not _is_over_channels(operation):
        return operation.as_in_vanilla()
    conversion, modules = operation.conversion, operation.building.modules
    # A norm that serves the head as well is called under two names.
    name = path if path not in modules or conversion.layouts.get(path) == pair.layout else f"{path}_pair"
    operation.remember_layout(name, pair.layout)
    if name not in modules:
        bias = conversion.dropped_biases.get(path)
        try:
            modules[name] = PerBranch(*(dealt_norm(module, branch, bias) for branch in pair.layout))
        except ValueError as error:
            raise operation.refusal(str(error)) from error
    node = operation.building.call(name, pair.node)
    operation.explain("per branch", pair.layout.split)
    return replace(pair, node=node)
