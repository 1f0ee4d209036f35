"""Operations that concatenate or pick channels, and leave each channel as it is."""

import operator
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from torch import fx
from torch.fx.node import Argument

from sfic_bench.convert.layout import Layout
from sfic_bench.convert.operation import Operation
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import STANDARD, Paired, Parts, Single, Value, Vector
from sfic_bench.nn import Split
from sfic_bench.nn.adapters import Concatenate, PickBranches


@rule("cat", "concat", "concatenate", ties=True)
def concatenation(operation: Operation) -> Value:
    """Concatenation; of pairs along the channel axis, each branch has its own channels of all of them."""
    axis = operation.argument(1, "dim", 0)
    tensors = _listed(operation)
    lead = next((value for _, value in tensors if isinstance(value, Paired)), None)
    if lead is None:
        counts = [value.channels or None if isinstance(value, Single) else None for _, value in tensors]
        known = [count for count in counts if count is not None]
        is_known = operation.is_channels(axis) and len(known) == len(counts)
        return operation.as_in_vanilla(sum(known) if is_known else None)
    if not operation.is_channels(axis) or any(p.axes != lead.axes for p in operation.pairs):
        raise operation.refusal(f"pairs can be concatenated along channels, not along axis {axis}")
    pairs = [_divided_by_alpha(operation, source, value, lead) for source, value in tensors]
    module = operation.building.made(Concatenate, tuple(pair.layout.split for pair in pairs))
    node = operation.building.call_new(operation.name, module, *(pair.node for pair in pairs))
    layout = Layout.concatenated([pair.layout for pair in pairs])
    operation.explain("per branch", layout.split)
    return (Vector if all(isinstance(pair, Vector) for pair in pairs) else Paired)(node, layout, lead.axes)


def _listed(operation: Operation) -> list[tuple[fx.Node, Value]]:
    """The values that are concatenated, each with the node that it comes from."""
    tensors = operation.argument(0, "tensors")
    if isinstance(tensors, fx.Node):
        value = operation.values[tensors]
        return [(tensors, part) for part in value.values] if isinstance(value, Parts) else [(tensors, value)]
    assert isinstance(tensors, Sequence)
    return [(tensor, operation.values[tensor]) for tensor in tensors if isinstance(tensor, fx.Node)]


def _divided_by_alpha(operation: Operation, source: fx.Node, value: Value, lead: Paired) -> Paired:
    if isinstance(value, Paired):
        return value
    count = operation.channels_of(source, value) if isinstance(value, Single) else None
    if not isinstance(value, Single) or not count:
        raise operation.refusal(f"it joins pairs and {source.name!r}, whose channels are not known")
    layout = Layout.of(Split.of(count, operation.options.alpha))
    return operation.divided(source, value, layout, lead)


@rule("chunk", "split", ties=True)
def parts(operation: Operation) -> Value:
    """A division of the channel axis into several values."""
    value = operation.inputs[0]
    ranges = _ranges(operation, _channels(value))
    if isinstance(value, Paired) and ranges is not None:
        return Parts(_picked(operation, value, ranges))
    whole = operation.as_in_vanilla()
    if ranges is None:
        return whole
    nodes = (operation.building.graph.call_function(operator.getitem, (whole.node, i)) for i in range(len(ranges)))
    return Parts(tuple(Single(node, len(channels)) for node, channels in zip(nodes, ranges, strict=True)))


def _ranges(operation: Operation, total: int | None) -> list[range] | None:
    """The channels of ``total`` that each part has; ``None`` if the parts are not parts of the channel axis."""
    if not total or not operation.is_channels(operation.argument(2, "dim", 0)):
        return None
    is_chunk = "chunk" in str(operation.node.target)
    size = operation.argument(1, "chunks" if is_chunk else "split_size_or_sections")
    size = operation.node.kwargs.get("split_size") if size is None else size
    if isinstance(size, int):
        width = -(-total // size) if is_chunk else size
        return [range(start, min(start + width, total)) for start in range(0, total, width)]
    widths = [n for n in size if isinstance(n, int)] if isinstance(size, list | tuple) else []
    starts = list(accumulate(widths, initial=0))
    return [range(*ends) for ends in pairwise(starts)] if starts[-1] == total else None


@rule("getitem", ties=True)
def item(operation: Operation) -> Value:
    """One of several values, or a slice of the channel axis."""
    value, index = operation.inputs[0], operation.node.args[1]
    if isinstance(value, Parts) and isinstance(index, int):
        return value.values[index]
    if isinstance(value, Parts) and isinstance(index, slice):
        return Parts(value.values[index])
    channels = _slice_of_channels(operation, index, _channels(value))
    if isinstance(value, Paired) and channels is not None:
        return _picked(operation, value, [channels])[0]
    # A parameter of one axis may get others by an index, as in ``weight[:, None, None]``, and be a number a channel.
    is_size = isinstance(value, Single) and value.channels == 0 and not isinstance(index, tuple)
    return operation.as_in_vanilla(0 if is_size else None if channels is None else len(channels))


def _slice_of_channels(operation: Operation, index: Argument, total: int | None) -> range | None:
    """The channels of ``total`` that ``index`` takes; ``None`` if it takes anything else than a slice of channels."""
    if not total or not isinstance(index, tuple):
        return None
    if index[0] is ...:
        index = (*[slice(None)] * (len(STANDARD) + 1 - len(index)), *index[1:])
    place = operation.axes.index(1)
    if len(index) <= place:
        return None
    channels, others = index[place], (*index[:place], *index[place + 1 :])
    if not isinstance(channels, slice) or any(other not in (slice(None), ...) for other in others):
        return None
    if not all(isinstance(n, int | None) for n in (channels.start, channels.stop, channels.step)):
        return None
    return range(total)[channels]


def _channels(value: Value) -> int | None:
    if isinstance(value, Paired):
        return value.layout.total
    return value.channels if isinstance(value, Single) else None


def _picked(operation: Operation, pair: Paired, ranges: Sequence[range]) -> tuple[Paired, ...]:
    """For each of ``ranges`` a pair of those channels, each on the branch that it lies on."""
    picked = []
    for i, channels in enumerate(ranges):
        layout, spatial, frequency = pair.layout.selected(channels)
        module = operation.building.made(PickBranches, spatial, frequency, pair.layout.split.spatial)
        node = operation.building.call_new(f"{operation.name}_{i}", module, pair.node)
        picked.append(replace(pair, node=node, layout=layout))
    splits = (part.layout.split for part in picked)
    operation.explain("per branch", note=", ".join(f"{s.spatial}+{s.frequency}" for s in splits))
    return tuple(picked)
