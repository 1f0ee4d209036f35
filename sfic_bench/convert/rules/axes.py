"""Operations that change the order or the number of axes."""

from dataclasses import replace

from sfic_bench.convert.graph import Call
from sfic_bench.convert.operation import Operation
from sfic_bench.convert.rules.channelwise import channelwise
from sfic_bench.convert.rules.table import rule
from sfic_bench.convert.values import STANDARD, Axes, Folded, Paired, Value


def _permuted(call: Call) -> Axes | None:
    order = call.node.args[1:] or (call.node.kwargs.get("dims"),)
    if len(order) == 1 and isinstance(order[0], list | tuple):
        order = tuple(order[0])
    places = [axis for axis in order if isinstance(axis, int)]
    return tuple(call.axes[axis] for axis in places) if len(places) == len(order) == len(call.axes) else None


@rule("permute", ties=True, moves=_permuted)
def permutation(operation: Operation) -> Value:
    """An order of axes, such as channels last; a pair's tensors stay as they are."""
    (value, *_), axes = operation.inputs, _permuted(operation)
    return replace(value, axes=axes) if isinstance(value, Paired) and axes is not None else operation.as_in_vanilla()


def _transposed(call: Call) -> Axes | None:
    one, other = call.argument(1, "dim0"), call.argument(2, "dim1")
    if not (isinstance(one, int) and isinstance(other, int) and max(one, other) < len(call.axes)):
        return None
    axes = list(call.axes)
    axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


@rule("transpose", "swapaxes", ties=True, moves=_transposed)
def transposition(operation: Operation) -> Value:
    """An exchange of two axes; of a folded pair, of rows and columns."""
    value, axes = operation.inputs[0], _transposed(operation)
    if isinstance(value, Folded) and {operation.argument(1, "dim0"), operation.argument(2, "dim1")} == {1, 2}:
        return replace(value, transposed=not value.transposed)
    return replace(value, axes=axes) if isinstance(value, Paired) and axes is not None else operation.as_in_vanilla()


@rule("contiguous", ties=True)
def contiguous(operation: Operation) -> Value:
    """A contiguous copy, which a folded or permuted pair does not need."""
    value = operation.inputs[0]
    is_label = isinstance(value, Folded) or (isinstance(value, Paired) and value.axes != STANDARD)
    return value if is_label else channelwise(operation)


# A channel shuffle is written as view → transpose → view, which are three steps of labels on a `Folded` pair.


def _of_a_map(call: Call) -> Axes | None:
    """The axes that a view gives: those of a map again where it has four."""
    shape = _viewed(call)
    return STANDARD if len(shape) == len(STANDARD) else None


def _viewed(call: Call) -> tuple[object, ...]:
    shape = call.node.args[1:] or (call.node.kwargs.get("shape"),)
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], list | tuple) else tuple(shape)


@rule("view", "reshape", "unflatten", ties=True, moves=_of_a_map)
def view(operation: Operation) -> Value:
    """A view that keeps the shape, or that folds the channel axis into a matrix, or unfolds it."""
    value, facts = operation.inputs[0], operation.conversion.facts
    if isinstance(value, Folded) and len(_viewed(operation)) == len(STANDARD):
        pair = replace(value.pair, layout=value.pair.layout.relabelled(value.order))
        operation.explain("per branch", pair.layout.split, "channel shuffle: moves nothing")
        return pair
    if not isinstance(value, Paired) or value.axes != STANDARD:
        return operation.as_in_vanilla()
    before, after = (facts.shape(node) or () for node in (next(iter(operation.values)), operation.node))
    if before == after:
        return value
    # A fold keeps batch, height and width.
    if len(after) == len(before) + 1 and (after[0], *after[3:]) == (before[0], *before[2:]):
        return Folded(value, rows=after[1], columns=after[2])
    return operation.as_in_vanilla()
