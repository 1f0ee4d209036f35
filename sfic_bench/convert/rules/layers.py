"""Layers with weights: convolutions become stages, and the weights of norms are dealt out to the branches."""

from dataclasses import replace

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import Operation, Role
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.stages import stage_of
from sfic_bench.convert.values import Paired, Single, Value, Vector
from sfic_bench.convert.weights import dealt_norm
from sfic_bench.nn import PerBranch, Stage1, Stage3


@rule(nn.Conv2d)
def convolution(operation: Operation) -> Value:
    """Stage 1 where the placement says so, Stage 2 or 3 on a pair, and unchanged on any other single tensor."""
    conv, path, options = operation.module, operation.path, operation.options
    assert isinstance(conv, nn.Conv2d)
    (value,) = operation.inputs
    inputs = value.layout if isinstance(value, Paired) else None
    as_stage3 = path in options.placement.stage3
    if inputs is None and as_stage3:
        raise operation.refusal("Stage 3 needs a pair, got a single tensor")
    if inputs is not None and path in options.placement.stage1:
        raise operation.refusal("Stage 1 needs a single tensor, got a pair")
    operation.remember_layout(path, inputs)
    if inputs is None and path not in options.placement.stage1:
        operation.explain("vanilla")
        return operation.as_in_vanilla(conv.out_channels)
    bias = conv.bias is not None and path not in operation.conversion.dropped_biases
    try:
        stage, outputs = stage_of(conv, inputs, options, as_stage3=as_stage3, bias=bias)
    except ValueError as error:
        raise operation.refusal(str(error)) from error
    operation.building.modules.setdefault(path, stage)
    source = value.node if isinstance(value, Paired) else operation.tensor(value)
    node = operation.building.call(path, source)
    role: Role = "Stage 1" if isinstance(stage, Stage1) else "Stage 3" if isinstance(stage, Stage3) else "Stage 2"
    operation.explain(role, None if outputs is None else outputs.split)
    if outputs is None:
        return Single(node, conv.out_channels)
    return replace(value, node=node, layout=outputs) if isinstance(value, Paired) else Paired(node, outputs)


def _is_over_channels(call: Call) -> bool:
    """Whether the channels of a norm's input lie where a pair has them.

    torch's own LayerNorm normalises the last axes; the 2d kind of other libraries normalises [B, C, H, W] over C.
    """
    return not isinstance(call.module, nn.LayerNorm) or call.description.startswith("LayerNorm2d")


@rule(_BatchNorm, nn.GroupNorm, nn.LayerNorm, ties=_is_over_channels)
def norm(operation: Operation) -> Value:
    """A norm of each branch over its own channels; on a `Vector`, a norm over several channels acts as in vanilla."""
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
