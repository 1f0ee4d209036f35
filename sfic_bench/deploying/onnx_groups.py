"""Convolutions whose groups have several inputs and one output, in ONNX graphs.

SFIC networks have them where a depthwise convolution becomes Stage 1. ONNX Runtime and OpenVINO have no fast code for
such groups. Both are fast at depthwise convolutions, and at adding a tensor to a convolution's output.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Part = Any
"""A graph, a node or a value of ``onnx_ir``, whose types allow for more than an exported graph has."""

ELEMENTWISE = frozenset(("Relu", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh"))
"""Operations of one tensor that treat every element alike."""


def suit_groups(graph: Part) -> None:
    """Write such convolutions as depthwise ones and sums, in place. What nothing reads any more stays in the graph.

    Where the inputs of all groups can be made apart, the first of each, the second and so on, one depthwise convolution
    reads the first inputs, another one the second inputs, and their outputs are added. Where they cannot, one depthwise
    convolution reads all, and a 1×1 convolution adds up its channels. Only the order of additions differs.
    """
    import onnx_ir

    nodes = _Nodes(graph)
    for conv in list(graph):
        inputs = _inputs_of_a_group(conv)
        if inputs < 2:
            continue
        parts = nodes.parts(conv.inputs[0], inputs)
        result = nodes.summed_by_a_convolution(conv) if parts is None else nodes.summed(conv, parts)
        onnx_ir.convenience.replace_nodes_and_values(graph, conv, [conv], [], conv.outputs, [result])


def _weight(node: Part) -> np.ndarray | None:
    """The constant weight of a convolution; ``None`` for any other node."""
    value = node.inputs[1].const_value if node.op_type == "Conv" else None
    return None if value is None else value.numpy()


def _inputs_of_a_group(node: Part) -> int:
    """How many inputs each group of a convolution has, if it has one output; 0 for any other node."""
    weight = _weight(node)
    if weight is None or weight.shape[0] != node.attributes.get_int("group", 1):
        return 0
    return int(weight.shape[1])


class _Nodes:
    """Nodes that are added to a graph, each in front of the one that it stands for."""

    def __init__(self, graph: Part) -> None:
        self._graph = graph
        self._parts: dict[tuple[str, int], list[Part]] = {}

    def summed(self, conv: Part, parts: Sequence[Part]) -> Part:
        """The output of ``conv``, whose input has been made apart, as a sum of depthwise convolutions."""
        weight = _weight(conv)
        assert weight is not None
        total = None
        for i, part in enumerate(parts):
            bias = [value.const_value.numpy() for value in conv.inputs[2:]] if i == 0 else []
            term = self._convolution(conv, part, [weight[:, i : i + 1], *bias], len(weight), f"part{i}")
            total = term if total is None else self._add(conv, "Add", (total, term), (), f"sum{i}")
        return total

    def summed_by_a_convolution(self, conv: Part) -> Part:
        """The output of ``conv`` as a depthwise convolution and a 1×1 convolution that adds up its channels."""
        weight = _weight(conv)
        assert weight is not None
        groups, inputs = weight.shape[:2]
        kernels = weight.reshape(-1, 1, *weight.shape[2:])
        sums = np.kron(np.eye(groups, dtype=weight.dtype), np.ones((1, inputs), weight.dtype))[:, :, None, None]
        each = self._convolution(conv, conv.inputs[0], [kernels], groups * inputs, "kernels")
        return self._add(conv, "Conv", (each, self._constant(conv, "sums", sums), *conv.inputs[2:]), (), "sums")

    def parts(self, value: Part, count: int) -> list[Part] | None:
        """``value`` in ``count`` parts, part i with the channels i, i + count and so on.

        ``None`` if something reads it whole, or if its parts do not come out of a convolution by themselves.
        """
        if not (_is_read_in_parts(value, count) and _comes_in_parts(value, count)):
            return None
        return self._in_parts(value, count)

    def _in_parts(self, value: Part, count: int) -> list[Part]:
        key = (value.name, count)
        if key not in self._parts:
            self._parts[key] = [self._part(value, count, i) for i in range(count)]
        return self._parts[key]

    def _part(self, value: Part, count: int, i: int) -> Part:
        node, name = value.producer(), f"part{i}of{count}"
        weight = _weight(node)
        if weight is None:
            source = self._in_parts(node.inputs[0], count)[i]
            return self._add(node, node.op_type, (source,), list(node.attributes.values()), name)
        tensors = [weight[i::count], *(bias.const_value.numpy()[i::count] for bias in node.inputs[2:])]
        groups, source = 1, node.inputs[0]
        if _inputs_of_a_group(node) == 1:
            groups, source = len(tensors[0]), self._in_parts(source, count)[i]
        return self._convolution(node, source, tensors, groups, name)

    def _convolution(self, like: Part, source: Part, tensors: Sequence[np.ndarray], groups: int, name: str) -> Part:
        """A convolution of ``source`` with these weights (and bias) and the geometry of ``like``."""
        import onnx_ir

        attributes = {**like.attributes, "group": onnx_ir.AttrInt64("group", groups)}
        kinds = ("weight", "bias")[: len(tensors)]
        constants = [self._constant(like, f"{name}.{kind}", t) for kind, t in zip(kinds, tensors, strict=True)]
        return self._add(like, "Conv", (source, *constants), list(attributes.values()), name)

    def _constant(self, like: Part, name: str, value: np.ndarray) -> Part:
        import onnx_ir

        name = f"{like.outputs[0].name}.{name}"
        constant = onnx_ir.Value(name=name, const_value=onnx_ir.tensor(np.ascontiguousarray(value), name=name))
        self._graph.register_initializer(constant)
        return constant

    def _add(self, like: Part, operation: str, inputs: Sequence[Part], attributes: Sequence[Part], name: str) -> Part:
        """The output of a new node in front of ``like``."""
        import onnx_ir

        node = onnx_ir.Node("", operation, inputs, attributes)
        node.outputs[0].name = f"{like.outputs[0].name}.{name}"
        self._graph.insert_before(like, node)
        return node.outputs[0]


def _is_read_in_parts(value: Part, count: int) -> bool:
    """Whether all that reads ``value`` can read ``count`` parts of it."""
    if value.is_graph_output():
        return False
    for use in value.uses():
        inputs = _inputs_of_a_group(use.node)
        is_depthwise = inputs == 1 and _is_read_in_parts(use.node.outputs[0], count)
        if use.idx != 0 or not (inputs == count or is_depthwise):
            return False
    return True


def _comes_in_parts(value: Part, count: int) -> bool:
    """Whether a convolution gives ``value``, with operations on single elements behind it that nothing else reads."""
    node = value.producer()
    if node is None:
        return False
    weight = _weight(node)
    if weight is None:
        is_alone = node.op_type in ELEMENTWISE and len(node.inputs[0].uses()) == 1
        return is_alone and not node.inputs[0].is_graph_output() and _comes_in_parts(node.inputs[0], count)
    if any(bias.const_value is None for bias in node.inputs[2:]) or len(weight) % count:
        return False
    if _inputs_of_a_group(node) == 1:
        return _is_read_in_parts(node.inputs[0], count) and _comes_in_parts(node.inputs[0], count)
    return bool(node.attributes.get_int("group", 1) == 1)
