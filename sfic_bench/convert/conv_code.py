"""What the code of a convolution module does: how it pads its input, and how it computes its weight and bias.

A subclass of Conv2d may compute them from its parameters, as weight standardisation does, and so may
`torch.nn.utils.parametrize` and hooks. What its code comes to must be one ``conv2d`` of the input.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch.nn.functional as F
from torch import fx, nn
from torch.fx.node import Argument

from sfic_bench.convert.changes import changed_by
from sfic_bench.convert.conv_trace import INPUT_SIZE, check_shapes, traced
from sfic_bench.convert.prototypes import described
from sfic_bench.nn.computed import ComputedWeights, WeightBlock

PerAxis = tuple[int, int]
"""A number for height and one for width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedTensors:
    """How a module computes the weight of its convolution, and the bias.

    Attributes:
        weight, bias: the nodes of its graph that give them.
        parts: the parameters, buffers and modules that the graph uses, by their names.
    """

    weight: fx.Node
    bias: fx.Node | None
    parts: Mapping[str, object]

    def source(self, conv: nn.Conv2d, *, bias: bool, share: bool) -> fx.GraphModule:
        """A module that gives weight and bias of ``conv``, with ``None`` for the bias unless ``bias`` is asked for.

        It has copies of the parts that it needs, or with ``share`` those themselves, under their names.

        Raises:
            ValueError: if the weight has another shape than that of a `torch.nn.Conv2d`.
        """
        given = (self.weight, self.bias if bias else None)
        needed = _ancestors(*given)
        graph = fx.Graph()
        new: dict[fx.Node, fx.Node] = {}
        for node in self.weight.graph.nodes:
            if node in needed:
                new[node] = graph.node_copy(node, new.__getitem__)
        graph.output(tuple(node and new[node] for node in given))
        parts = {str(n.target): self.parts[str(n.target)] for n in graph.nodes if n.op in ("get_attr", "call_module")}
        source = fx.GraphModule(parts if share else copy.deepcopy(parts), graph, f"WeightOf{type(conv).__name__}")
        check_shapes(source, conv)
        source.training = conv.training
        return source


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvCode:
    """The one ``conv2d`` that a module computes.

    Attributes:
        padding: with what the module pads by itself; where that is for a size of ceil(n / stride), the padding that
            keeps the size at stride 1.
        pads: whether the module pads by itself.
        keeps_bias: whether the bias is the module's parameter ``bias``, or there is none.
        computed: how weight and bias are computed; ``None`` if both are the module's parameters.
    """

    stride: PerAxis
    padding: PerAxis
    dilation: PerAxis
    has_bias: bool
    pads: bool = False
    keeps_bias: bool = True
    computed: ComputedTensors | None = None


def is_plain(conv: nn.Conv2d) -> bool:
    """Whether ``conv`` computes exactly what `torch.nn.Conv2d` does, with parameters as weight and bias."""
    kind = type(conv)
    has_own_code = kind.forward is not nn.Conv2d.forward or kind._conv_forward is not nn.Conv2d._conv_forward
    return not has_own_code and all(name in conv._parameters for name in ("weight", "bias"))


def code_of(conv: nn.Conv2d) -> ConvCode:
    """What ``conv`` computes; it is not changed.

    Raises:
        ValueError: if that is not a convolution of its input with zeros around it; the message says why.
    """
    if conv.padding_mode != "zeros":
        raise ValueError(f"padding mode {conv.padding_mode!r} is not supported")
    if is_plain(conv):
        stride, dilation = _two(conv.stride), _two(conv.dilation)
        padding = _padding(conv, conv.padding, None, stride, dilation)
        return ConvCode(stride=stride, padding=padding, dilation=dilation, has_bias=conv.bias is not None)
    description = described(conv)
    if description is None:
        return _traced_code_of(conv)
    if description not in _CODES:
        # Without the tensors themselves, which would keep a network's weights in memory.
        _CODES[description] = _with_parts(_traced_code_of(conv), None)
    return _with_parts(_CODES[description], conv)


def _with_parts(code: ConvCode, conv: nn.Conv2d | None) -> ConvCode:
    """``code`` with the tensors of ``conv``, or with their names alone."""
    if code.computed is None:
        return code
    parts = {name: None if conv is None else getattr(conv, name) for name in code.computed.parts}
    return replace(code, computed=replace(code.computed, parts=parts))


_CODES: dict[object, ConvCode] = {}
"""What convolutions compute, by their descriptions: a network has many that differ in their weights alone."""


def _traced_code_of(conv: nn.Conv2d) -> ConvCode:
    try:
        graph, parts = traced(conv)
    except ValueError:
        graph, parts = traced(conv, conv.training)
        if str(graph) != str(traced(conv, not conv.training)[0]):
            raise ValueError(f"{type(conv).__name__} does something else in training than in evaluation") from None
    return _read(conv, graph, parts)


def adds_its_bias(conv: nn.Conv2d) -> bool:
    """Whether ``conv`` adds its parameter ``bias`` as it is."""
    if conv._parameters.get("bias") is None:
        return False
    code = _code_if_known(conv)
    return is_plain(conv) or (code is not None and code.keeps_bias)


def applies_its_parameters(conv: nn.Conv2d) -> bool:
    """Whether ``conv`` applies its parameters ``weight`` and ``bias`` as they are."""
    code = _code_if_known(conv)
    return is_plain(conv) or (code is not None and code.computed is None)


def as_plain(conv: nn.Conv2d, *, bias: bool = True) -> ComputedWeights | None:
    """A plain convolution that takes the weight which ``conv`` computes, and its bias if ``bias`` is asked for.

    It is ``None`` if ``conv`` computes none, or is no plain convolution even so.
    """
    code = _code_if_known(conv)
    if code is None or code.computed is None or code.pads:
        return None
    try:
        source = code.computed.source(conv, bias=bias, share=False)
    except ValueError:
        return None
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        cast(PerAxis, conv.kernel_size),
        code.stride,
        code.padding,
        code.dilation,
        conv.groups,
        bias=bias and code.has_bias,
        device="meta",
    )
    return ComputedWeights(source, plain.train(conv.training), {"": WeightBlock(None, None)}).train(conv.training)


def _code_if_known(conv: nn.Conv2d) -> ConvCode | None:
    try:
        return None if is_plain(conv) else code_of(conv)
    except ValueError:
        return None


def _read(conv: nn.Conv2d, graph: fx.Graph, parts: Mapping[str, object]) -> ConvCode:
    name = type(conv).__name__
    ends = {node.op: node for node in graph.nodes}
    x, call = ends["placeholder"], ends["output"].args[0]
    if not isinstance(call, fx.Node) or call.target is not F.conv2d:
        raise ValueError(f"{name} computes something else than a Conv2d")
    a = _arguments(call, input=None, weight=None, bias=None, stride=1, padding=0, dilation=1, groups=1)
    weight, bias = a["weight"], cast("fx.Node | None", a["bias"])
    needed = _ancestors(weight, bias)
    if x in needed:
        raise ValueError(f"the weight of {name} depends on its input")
    padded, amounts = _unpadded(a["input"])
    if padded is not x or a["groups"] != conv.groups or not isinstance(weight, fx.Node):
        raise ValueError(f"{name} computes something else than a Conv2d of its input")
    if any(_changes_something(node) for node in graph.nodes if node not in needed):
        raise ValueError(f"{name} changes tensors of its own at each call")
    stride, dilation = _two(a["stride"]), _two(a["dilation"])
    keeps_bias = bias is None or _is_parameter(bias, "bias")
    is_computed = not keeps_bias or not _is_parameter(weight, "weight")
    return ConvCode(
        stride=stride,
        padding=_padding(conv, a["padding"], amounts, stride, dilation),
        dilation=dilation,
        has_bias=bias is not None,
        pads=amounts is not None,
        keeps_bias=keeps_bias,
        computed=ComputedTensors(weight=weight, bias=bias, parts=parts) if is_computed else None,
    )


def _arguments(call: fx.Node, **defaults: Argument) -> dict[str, Argument]:
    """The arguments of a call by name, for a function whose parameters are those of ``defaults`` in this order."""
    return {**defaults, **dict(zip(defaults, call.args, strict=False)), **call.kwargs}


def _ancestors(*nodes: Argument) -> set[fx.Node]:
    """The nodes among ``nodes``, and all that they depend on."""
    found: set[fx.Node] = set()
    waiting = [node for node in nodes if isinstance(node, fx.Node)]
    while waiting:
        found.add(last := waiting.pop())
        waiting += [n for n in last.all_input_nodes if n not in found]
    return found


def _unpadded(node: Argument) -> tuple[Argument, list[int] | None]:
    """What a padding with zeros pads, and how much (left, right, above, below); without one, ``node`` and ``None``."""
    if not isinstance(node, fx.Node) or node.target is not F.pad:
        return node, None
    a = _arguments(node, input=None, pad=(), mode="constant", value=None)
    amounts = a["pad"]
    if a["mode"] != "constant" or a["value"] not in (None, 0) or not isinstance(amounts, list | tuple):
        return node, None
    if len(amounts) > 4 or not all(isinstance(n, int) for n in amounts):
        return node, None
    return a["input"], [*cast("tuple[int, ...]", amounts), 0, 0, 0, 0][:4]


def _changes_something(node: fx.Node) -> bool:
    return changed_by(node) is not None or "out" in node.kwargs


def _is_parameter(node: Argument, name: str) -> bool:
    return isinstance(node, fx.Node) and node.op == "get_attr" and node.target == name


def _two(value: Argument) -> PerAxis:
    both = (value, value) if isinstance(value, int) else tuple(cast("tuple[int, ...]", value))
    return cast(PerAxis, both * 2 if len(both) == 1 else both)


def _padding(conv: nn.Conv2d, own: Argument, amounts: list[int] | None, stride: PerAxis, dilation: PerAxis) -> PerAxis:
    """The padding of the convolution that a stage stands for.

    ``own`` is that of the ``conv2d`` itself, and ``amounts`` what the module pads before (left, right, above, below).

    Raises:
        ValueError: for padding that no stage has.
    """
    both_sides = [d * (k - 1) for d, k in zip(dilation, conv.kernel_size, strict=True)]
    if own != "same":
        height, width = (0, 0) if own == "valid" else _two(own)
        left, right, above, below = amounts or (0, 0, 0, 0)
        sides = ((above + height, below + height), (left + width, right + width))
        is_same = amounts is not None and all(
            sum(pads) == max((math.ceil(n / s) - 1) * s + both + 1 - n, 0)
            for pads, n, s, both in zip(sides, INPUT_SIZE, stride, both_sides, strict=True)
        )
        if not is_same and all(before == after for before, after in sides):
            return sides[0][0], sides[1][0]
        for (before, after), s, both in zip(sides, stride, both_sides, strict=True):
            if abs(before - after) > 1 or not max(both + 1 - s, 0) <= before + after <= both:
                raise ValueError(f"padding by {amounts} (left, right, above, below) is neither even nor 'same'")
    if any(n % 2 for n in both_sides):
        raise ValueError(f"padding 'same' of a kernel {conv.kernel_size} is not the same on both sides")
    return both_sides[0] // 2, both_sides[1] // 2
