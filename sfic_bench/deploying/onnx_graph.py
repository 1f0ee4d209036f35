"""Changes of an ONNX graph that keep what it computes, and for which runtimes have faster or more correct code."""

from collections.abc import Sequence
from functools import partial, reduce

import numpy as np

from sfic_bench.deploying.onnx_groups import Part, suit_groups


def suit_runtimes(model: Part) -> None:
    """Change average pools, resizes, sums and grouped convolutions of a model of ``onnx_ir`` in place."""
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    graph = model.graph
    for node in list(graph):
        if node.op_type == "Add":
            _suit_sum(node)
    for node in list(graph):
        match node.op_type:
            case "AveragePool":
                _suit_pool(node)
            case "Resize":
                _suit_enlargement(node)
    suit_groups(graph)
    RemoveUnusedNodesPass()(model)


def _suit_pool(pool: Part) -> None:
    """Change an average pool of ONNX without padding in ways that give the same, and that ONNX Runtime does better.

    It leaves its blocked layout at a pool that rounds sizes up, which is not needed if they are multiples of the
    stride. In int8 ONNX Runtime 1.32 divides a window that lies partly outside by its full size if the pool says that
    padding counts.
    """
    if any(pool.attributes.get_ints("pads", ())):
        return
    pool.attributes.pop("count_include_pad", None)
    size = pool.inputs[0].shape[2:]
    strides = pool.attributes.get_ints("strides", (1,) * len(size))
    is_multiple = all(isinstance(n, int) and n % s == 0 for n, s in zip(size, strides, strict=True))
    if is_multiple and tuple(pool.attributes.get_ints("kernel_shape")) == tuple(strides):
        pool.attributes.pop("ceil_mode", None)


def _suit_sum(total: Part) -> None:
    """Add small tensors before they are enlarged: (resize(a) + c) + (resize(b) + d) is resize(a + b) + c + d.

    A residual block with a convolution in its shortcut ends in two stages, and both enlarge what comes from F. One
    enlargement is enough, and runtimes add the outputs of convolutions, which come last, in passing.
    """
    import onnx_ir

    users = [use.node.op_type for use in total.outputs[0].uses()]
    if users == ["Add"]:
        return  # part of a larger sum
    terms, sums = _terms(total)
    resizes = [node for term in terms if (node := _made_for_one(term, "Resize")) is not None and _copies_pixels(node)]
    alike = [node for node in resizes if _enlarge_alike(resizes[0], node)]
    if len(alike) < 2:
        return
    small = [node.inputs[0] for node in alike]
    added = [term for term in terms if term.producer() not in alike]
    added.sort(key=lambda term: _made_for_one(term, "Conv") is not None)
    nodes: list[Part] = []
    name = total.outputs[0].name

    def append(operation: str, *inputs: Part, attributes: Sequence[Part] = ()) -> Part:
        node = onnx_ir.Node("", operation, inputs, attributes)
        node.outputs[0].name = f"{name}.{len(nodes)}"
        nodes.append(node)
        return node.outputs[0]

    lower = reduce(partial(append, "Add"), small)
    higher = append("Resize", lower, *alike[0].inputs[1:], attributes=alike[0].attributes.values())
    result = reduce(partial(append, "Add"), added, higher)
    onnx_ir.convenience.replace_nodes_and_values(total.graph, total, [*sums, *alike], nodes, total.outputs, [result])


def _terms(total: Part) -> tuple[list[Part], list[Part]]:
    """What a sum of sums adds, and the nodes that add it, from the last to the first."""
    terms, sums = [], [total]
    for value in total.inputs:
        inner = _made_for_one(value, "Add")
        if inner is None:
            terms.append(value)
        else:
            more, nodes = _terms(inner)
            terms += more
            sums += nodes
    return terms, sums


def _made_for_one(value: Part, operation: str) -> Part | None:
    """The node of this kind that gives ``value``, if one other node alone reads it."""
    node = value.producer()
    if node is None or node.op_type != operation or len(value.uses()) != 1 or value.is_graph_output():
        return None
    return node


def _enlarge_alike(one: Part, other: Part) -> bool:
    """Whether two resizes that copy pixels copy the same ones."""
    factors, others = one.inputs[2].const_value, other.inputs[2].const_value
    if factors is None or others is None or not np.array_equal(factors.numpy(), others.numpy()):
        return False
    names = ("coordinate_transformation_mode", "nearest_mode")
    return all(one.attributes.get_string(name) == other.attributes.get_string(name) for name in names)


def _copies_pixels(resize: Part) -> bool:
    """Whether a resize is a nearest-neighbour one by factors; by sizes it would name the number of channels, too."""
    return resize.attributes.get_string("mode") == "nearest" and len(resize.inputs) == 3


def _suit_enlargement(resize: Part) -> None:
    """Enlarge the input of a 1×1 convolution instead of its output, where that saves more than it costs.

    Both give the same, since each new pixel is a copy of an old one. Runtimes add a tensor to a convolution's output in
    passing, but not to an enlarged one: where a residual is added, the convolution comes last. It computes more
    products then, and two passes over a large tensor are gone. With more than `MOST_ENLARGED` inputs the products take
    as long as the passes.
    """
    import onnx_ir

    conv = _made_for_one(resize.inputs[0], "Conv")
    if conv is None or not _is_pointwise(conv) or not _copies_pixels(resize):
        return
    if not _is_added_to_a_residual(resize.outputs[0]):
        return
    graph, name = resize.graph, resize.outputs[0].name
    larger = onnx_ir.Node("", "Resize", (conv.inputs[0], *resize.inputs[1:]), resize.attributes.values())
    larger.outputs[0].name = f"{name}.enlarged"
    last = onnx_ir.Node("", "Conv", (larger.outputs[0], *conv.inputs[1:]), conv.attributes.values(), name=conv.name)
    onnx_ir.convenience.replace_nodes_and_values(
        graph, resize, [resize, conv], [larger, last], resize.outputs, last.outputs
    )


MOST_ENLARGED = 64
"""The most inputs of a 1×1 convolution that is done behind an enlargement, for a factor of 2 on a CPU with AVX-512."""


def _is_pointwise(conv: Part) -> bool:
    """Whether a convolution multiplies few enough channels of single pixels, all by all."""
    weight = conv.inputs[1].const_value
    if weight is None or conv.attributes.get_int("group", 1) != 1:
        return False
    is_plain = not any(conv.attributes.get_ints("pads", ())) and set(conv.attributes.get_ints("strides", ())) <= {1}
    return is_plain and tuple(weight.shape[2:]) == (1, 1) and weight.shape[1] <= MOST_ENLARGED


def _is_added_to_a_residual(value: Part) -> bool:
    """Whether all that reads ``value`` is a sum, whose other term is no convolution's output that the sum alone reads.

    To such an output a runtime adds ``value`` in passing.
    """
    users = [use.node for use in value.uses()]
    if len(users) != 1 or users[0].op_type != "Add":
        return False
    (other,) = [term for term in users[0].inputs if term is not value]
    return _made_for_one(other, "Conv") is None
