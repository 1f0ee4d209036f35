"""Layers with weights: convolutions become stages, and the weights of norms are dealt out to the branches."""

from dataclasses import replace

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert.graph import Call
from sfic_bench.convert.layout import Layout
from sfic_bench.convert.norms import known_norm, shared_norm
from sfic_bench.convert.operation import Operation, Role
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.stages import stage_of
from sfic_bench.convert.values import CHANNELS_LAST, STANDARD, Paired, Single, Value, Vector
from sfic_bench.convert.weights import as_convolution, dealt_norm
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import PerBranch, Split


@rule(nn.Conv2d, moves=lambda _: STANDARD)
def convolution(operation: Operation) -> Value:
    """Stage 1 where the placement says so, Stage 2 or 3 on a pair, and unchanged on any other single tensor."""
    conv, (value,) = operation.module, operation.inputs
    assert isinstance(conv, nn.Conv2d)
    if operation.axes != STANDARD:
        raise operation.refusal("it reads a pair whose axes are in another order")
    return _as_stage(operation, conv, value)


@rule(nn.Linear)
def linear(operation: Operation) -> Value:
    """On the channels of a map, a 1×1 convolution; unchanged on vectors and tokens."""
    layer, (value,) = operation.module, operation.inputs
    assert isinstance(layer, nn.Linear)
    is_stage1 = operation.path in operation.options.placement.stage1
    is_map = is_stage1 or (isinstance(value, Paired) and not isinstance(value, Vector))
    if not is_map or type(layer).forward is not nn.Linear.forward:
        return operation.as_in_vanilla(layer.out_features)
    if isinstance(value, Paired) and not operation.is_channels(-1):
        raise operation.refusal("it acts on height or width")
    if is_stage1 and isinstance(value, Single):
        node = operation.building.in_standard_order(value.node, len(STANDARD), CHANNELS_LAST)
        value = replace(value, node=node)
    result = _as_stage(operation, operation.building.made(as_convolution, layer), value)
    if isinstance(result, Paired):
        return replace(result, axes=CHANNELS_LAST)
    return replace(result, node=operation.building.graph.call_method("permute", (result.node, *CHANNELS_LAST)))


def _as_stage(operation: Operation, conv: nn.Conv2d, value: Value) -> Paired | Single:
    """The stage that stands for ``conv``, on ``value``, whose axes are in the standard order."""
    path, options = operation.path, operation.options
    as_stage3 = path in options.placement.stage3
    if isinstance(value, Single) and value.beside is not None:
        layout = Layout.of(Split.of(conv.in_channels, options.alpha))
        operation.explain("divide", layout.split)
        value = operation.building.divide(value, layout, value.beside)
    inputs = value.layout if isinstance(value, Paired) else None
    if inputs is None and as_stage3 and options.on_unsupported != OnUnsupported.KEEP:
        raise UnsupportedModel(f"the placement names {path!r}: Stage 3 needs a pair, got a single tensor")
    if inputs is not None and path in options.placement.stage1:
        raise UnsupportedModel(f"the placement names {path!r}: Stage 1 needs a single tensor, got a pair")
    operation.remember_layout(path, inputs)
    if inputs is None and path not in options.placement.stage1:
        operation.explain("vanilla")
        return operation.as_in_vanilla(conv.out_channels)
    bias = path not in operation.conversion.dropped_biases
    try:
        stage, outputs = operation.building.made(
            stage_of, conv, inputs, operation.conversion.of_stages, as_stage3=as_stage3, bias=bias
        )
    except ValueError as error:
        raise operation.refusal(str(error)) from error
    operation.building.modules.setdefault(path, stage)
    source = value.node if isinstance(value, Paired) else operation.tensor(value)
    node = operation.building.call(path, source)
    role: Role = "Stage 1" if inputs is None else "Stage 3" if outputs is None else "Stage 2"
    operation.explain(role, None if outputs is None else outputs.split)
    if outputs is None:
        return Single(node, conv.out_channels, is_fused=True)
    return replace(value, node=node, layout=outputs) if isinstance(value, Paired) else Paired(node, outputs)


def _keeps_pairs(call: Call) -> bool:
    """Whether a norm is of each channel by itself, or over the axis of the channels."""
    known = known_norm(call.module)
    return isinstance(call.module, _NormBase) or (known is not None and call.is_channels(known.axis))


@rule(_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, ties=_keeps_pairs)
def norm(operation: Operation) -> Value:
    """A norm: dealt out if it is of each channel by itself, else shared by both branches.

    On a `Vector`, a norm over several channels acts as in vanilla.
    """
    module, path = operation.module, operation.path
    assert module is not None
    if not operation.pairs:
        return operation.as_in_vanilla(operation.common_channels())
    (pair,) = operation.pairs
    is_over_channels = not isinstance(module, _NormBase)
    if (is_over_channels and isinstance(pair, Vector)) or not _keeps_pairs(operation):
        return operation.as_in_vanilla()
    conversion, modules = operation.conversion, operation.building.modules
    # A norm that serves the head as well is called under two names.
    name = path if path not in modules or conversion.layouts.get(path) == pair.layout else f"{path}_pair"
    operation.remember_layout(name, pair.layout)
    if name not in modules:
        try:
            modules[name] = operation.building.made(_on_pairs, module, pair.layout, conversion.dropped_biases.get(path))
        except ValueError as error:
            raise operation.refusal(str(error)) from error
    node = operation.building.call(name, pair.node)
    note = "the branches share its statistics" if is_over_channels else ""
    operation.explain("per branch", pair.layout.split, note)
    return replace(pair, node=node)


def _on_pairs(norm: nn.Module, layout: Layout, bias: Tensor | None) -> nn.Module:
    """``norm`` as a module from a pair to a pair; the running mean of a BatchNorm takes up ``bias``."""
    if isinstance(norm, _NormBase):
        return PerBranch(*(dealt_norm(norm, branch, bias) for branch in layout))
    return shared_norm(norm, layout)
