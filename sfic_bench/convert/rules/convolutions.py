"""Convolutions, which become stages."""

from dataclasses import replace

from torch import nn

from sfic_bench.convert.layout import Layout
from sfic_bench.convert.operation import Operation, Role
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.stages import stage_of
from sfic_bench.convert.values import Paired, Single, Value
from sfic_bench.nn import Stage1, Stage3


@rule(nn.Conv2d)
def convolution(operation: Operation) -> Value:
    """Stage 1 where the placement says so, Stage 2 or 3 on a pair, and unchanged on any other single tensor."""
    conv, path, placement = operation.module, operation.path, operation.options.placement
    assert isinstance(conv, nn.Conv2d)
    (value,) = operation.inputs
    inputs = value.layout if isinstance(value, Paired) else None
    if inputs is None and path in placement.stage3:
        raise operation.refusal("Stage 3 needs a pair, got a single tensor")
    if inputs is not None and path in placement.stage1:
        raise operation.refusal("Stage 1 needs a single tensor, got a pair")
    operation.remember_layout(path, inputs)
    if inputs is None and path not in placement.stage1:
        operation.explain("vanilla")
        return operation.as_in_vanilla(conv.out_channels)
    stage, outputs = _stage(operation, conv, inputs)
    operation.building.modules.setdefault(path, stage)
    source = value.node if isinstance(value, Paired) else operation.tensor(value)
    node = operation.building.call(path, source)
    operation.explain(_role(stage), None if outputs is None else outputs.split)
    if outputs is None:
        return Single(node, conv.out_channels)
    return replace(value, node=node, layout=outputs) if isinstance(value, Paired) else Paired(node, outputs)


def _stage(operation: Operation, conv: nn.Conv2d, inputs: Layout | None) -> tuple[nn.Module, Layout | None]:
    options = operation.options
    try:
        return stage_of(
            conv,
            inputs,
            alpha=options.alpha,
            beta=options.beta,
            mcs=options.mcs,
            as_stage3=operation.path in options.placement.stage3,
            bias=conv.bias is not None and operation.path not in operation.conversion.dropped_biases,
        )
    except ValueError as error:
        raise operation.refusal(str(error)) from error


def _role(stage: nn.Module) -> Role:
    if isinstance(stage, Stage1):
        return "Stage 1"
    return "Stage 3" if isinstance(stage, Stage3) else "Stage 2"
