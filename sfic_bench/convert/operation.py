"""One operation of a vanilla network, and what a rule can make of it in the new graph."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, fx, nn
from torch.fx.node import Argument

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert.building import Building
from sfic_bench.convert.facts import Facts
from sfic_bench.convert.graph import Call
from sfic_bench.convert.layout import Layout
from sfic_bench.convert.options import ConversionOptions
from sfic_bench.convert.values import STANDARD, Folded, Paired, Parts, Single, Value, Vector
from sfic_bench.convert.weights import redundant_biases, without_bias
from sfic_bench.errors import UnsupportedModel
from sfic_bench.modules import modules_by_name
from sfic_bench.nn import PerBranch, Split

Role = Literal["Stage 1", "Stage 2", "Stage 3", "vanilla", "per branch", "divide", "join", "kept"]
"""``vanilla`` is a convolution outside the pairs, ``divide`` a single tensor that becomes a pair, ``join`` a pair that
becomes a single tensor, and ``kept`` an operation that runs on the joined pair, since it has no meaning on a pair."""

ONE_FOR_ALL = Layout((0,), (0,))
"""The layout of a tensor with one channel, which both branches read."""

EXACT = "a pooled pair: exact, and at no cost"
"""The note for a `Vector` that is joined."""

AT_S = "on the joined pair, at the size of S"
"""The note for an operation without a meaning on a pair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedOperation:
    """What becomes of one operation of the vanilla network.

    ``path`` is the qualified name of the module that the operation belongs to, ``operation`` the class of that module
    or the name of the function or method, and ``split`` that of the pair that the operation gives, if it gives one.
    """

    path: str
    operation: str
    role: Role
    split: Split | None
    note: str = ""


class Conversion:
    """The state of one conversion, which all its operations share.

    Attributes:
        calls: the node that calls each module, by the module's name.
        values: what each node of the vanilla graph has become so far.
        layouts: the layout that each convolution and each norm reads, by its name in the new network; ``None`` for a
            tensor.
        facts: the values of the vanilla network.
    """

    def __init__(self, vanilla: fx.GraphModule, options: ConversionOptions, like: fx.Graph | None = None) -> None:
        self.vanilla, self.options = vanilla, options
        prototypes = options.prototypes
        self.modules = modules_by_name(vanilla) if prototypes is None else prototypes.modules_of(vanilla)
        self.calls = {str(n.target): n for n in vanilla.graph.nodes if n.op == "call_module"}
        self.dropped_biases = redundant_biases(vanilla.graph, self.modules)
        self.building, self.facts = Building(prototypes, like), Facts(vanilla)
        self.of_stages = options.of_stages
        self.values: dict[fx.Node, Value] = {}
        self.layouts: dict[str, Layout | None] = {}
        self.explained: list[ExplainedOperation] = []


class Operation(Call):
    """One call of the vanilla network, with the values that it reads.

    Attributes:
        values: what each node that it reads has become (the placement may let a convolution read another one's input).
        inputs: these values in order.
        pairs: the pairs among them.
    """

    def __init__(self, conversion: Conversion, node: fx.Node) -> None:
        self.conversion, self.building, self.options = conversion, conversion.building, conversion.options
        super().__init__(node, conversion.modules)
        reads = self.options.placement.reads.get(self.path)
        source = node if reads is None else conversion.calls[reads]
        self.values = {n: conversion.values[n] for n in source.all_input_nodes}
        self.inputs = tuple(self.values.values())
        self.pairs = [value for value in self.inputs if isinstance(value, Paired)]
        self.axes = self.pairs[0].axes if self.pairs else STANDARD

    @property
    def name(self) -> str:
        """A name for the module that stands for a function in the new network."""
        return ".".join(filter(None, (self.place, self.node.name)))

    def common_channels(self) -> int | None:
        """How many channels the result has if the operation treats every channel by itself."""
        counts = [value.channels if isinstance(value, Single) else None for value in self.inputs]
        return max((c for c in counts if c), default=None if None in counts else 0)

    # What becomes of the operation

    def as_in_vanilla(self, channels: int | None = None) -> Single:
        """The operation as the vanilla network has it, on single tensors; pairs are joined where they may be.

        A `Vector` may always be joined, since that is exact. Any other pair may be where the classifier needs a tensor
        that no Stage 3 gives, and for the sake of an operation without a meaning on a pair, unless that is to be an
        error. The result has ``channels``, see `Single`.

        Raises:
            UnsupportedModel: if the operation reads a pair that may not be joined.
        """
        joined = self._joined_pairs()
        values = self.conversion.values
        singles = [value for value in self.inputs if isinstance(value, Single)]
        is_fused = any(value.is_fused for value in singles) or self.path in self.options.placement.stage3
        beside = next((value.beside for value in singles if value.beside is not None), None)
        if self.options.on_unsupported == OnUnsupported.JOIN:
            pairs = (value.pair if isinstance(value, Folded) else value for value in self.inputs)
            maps = (pair for pair in pairs if isinstance(pair, Paired) and not isinstance(pair, Vector))
            beside = beside or next(maps, None)
        if self.node.op == "get_attr":
            channels = _channels_of_constant(self.building.read_attribute(self.node, self.conversion.vanilla))
        if self.module is not None:
            earlier = self.building.modules.get(self.path)
            if earlier is not None and type(earlier) is not type(self.module):
                raise self.refusal(f"{self.description} serves a pair before and a single tensor here")
            self.building.modules.setdefault(self.path, self._unchanged(self.module))
        copied = self.building.graph.node_copy(self.node, lambda n: self.tensor(joined.get(n, values[n])))
        return Single(copied, channels, None if is_fused else beside, is_fused)

    def _joined_pairs(self) -> dict[fx.Node, Single]:
        pairs = {n: v for n, v in self.values.items() if isinstance(v, Paired | Folded)}
        if not pairs:
            return {}
        are_vectors = all(isinstance(value, Vector) for value in pairs.values())
        are_features = self.node.op == "output" and not isinstance(self.node.args[0], fx.Node)
        may_join = are_vectors or are_features or self._is_classifiers()
        if not may_join and self.node.op == "output":
            raise self.refusal("the result is a pair: no Stage 3 on the way to it")
        if not may_join and self.options.on_unsupported == OnUnsupported.ERROR:
            raise self.refusal(
                f"{self.description} has no meaning on a pair; on_unsupported='join' (--on-unsupported join) joins "
                "the pair for it and divides the result again"
            )
        self.explain("join" if may_join else "kept", note=EXACT if are_vectors else "" if may_join else AT_S)
        return {n: self.building.join(value) for n, value in pairs.items()}

    def _is_classifiers(self) -> bool:
        """Whether the placement joins pairs for the classifier, and no convolution comes after this operation."""
        if not self.options.placement.joins:
            return False
        descendants: set[fx.Node] = set()
        unvisited = [self.node]
        while unvisited:
            users = set(unvisited.pop().users) - descendants
            descendants |= users
            unvisited += users
        modules = self.conversion.modules
        return not any(isinstance(modules.get(str(n.target)), nn.Conv2d) for n in descendants)

    def per_branch(
        self, function: Callable[..., Tensor], args: tuple[Argument, ...] | None = None, name: str = ""
    ) -> Paired:
        """``function`` on S and on F of every pair that the operation reads; single tensors are divided.

        Args:
            function: a module, of which a copy is taken, or a function.
            args: its arguments; by default all those of the vanilla call.
            name: of a module that serves several calls; by default the call has a module of its own.
        """
        maps = [pair for pair in self.pairs if not isinstance(pair, Vector)] or self.pairs
        lead = max(maps, key=lambda pair: pair.layout.total)  # the first of several
        if any(pair.axes != lead.axes for pair in self.pairs):
            raise self.refusal("it combines pairs whose axes are in different orders")
        aligned = {n: self._beside(lead, n, value) for n, value in self.values.items()}
        kwargs = self.node.kwargs if args is None else {}
        new_args = fx.map_arg(self.node.args if args is None else args, aligned.__getitem__)
        new_kwargs = fx.map_arg(dict(kwargs), aligned.__getitem__)
        module = self.building.made(_on_each_branch, function)
        if name:
            self.building.modules.setdefault(name, module)
            node = self.building.call(name, *new_args, **new_kwargs)
        else:
            node = self.building.call_new(self.name, module, *new_args, **new_kwargs)
        self.explain("per branch", lead.layout.split)
        is_vector = all(isinstance(v, Vector) or (isinstance(v, Single) and v.channels == 0) for v in self.inputs)
        return (Vector if is_vector else Paired)(node, lead.layout, lead.axes)

    def on_pair(self, module: nn.Module, *args: Argument) -> Paired:
        """A new ``module`` on the one pair that the operation reads, whose layout it keeps; ``args`` come behind it."""
        (pair,) = self.pairs
        node = self.building.call_new(self.name, module, pair.node, *args)
        self.explain("per branch", pair.layout.split)
        return replace(pair, node=node)

    def remember_layout(self, name: str, layout: Layout | None) -> None:
        """Note the layout that the module ``name`` of the new network reads.

        Raises:
            UnsupportedModel: if it reads another layout elsewhere, which its weights do not fit.
        """
        if self.conversion.layouts.setdefault(name, layout) != layout:
            raise self.refusal("it is called again, with channels split differently")

    # Between pairs and single tensors

    def _beside(self, lead: Paired, source: fx.Node, value: Value) -> Argument:
        """The ``value`` of the node ``source`` as a pair with the layout of ``lead``, which it is combined with."""
        if isinstance(value, Paired):
            if value.layout == lead.layout:
                return value.node
            layout = ONE_FOR_ALL if value.layout.total == 1 else lead.layout
            return self.building.divide(self.building.join(replace(value, axes=STANDARD)), layout, lead).node
        if not isinstance(value, Single):
            return self.tensor(value)
        count = self.channels_of(source, value)
        if count == 0:
            return self.tensor(value)
        if count not in (None, 1, lead.layout.total):
            raise self.refusal(f"it combines {lead.layout.total} channels with {count} of {source.name!r}")
        return self.divided(source, value, ONE_FOR_ALL if count == 1 else lead.layout, lead).node

    def channels_of(self, source: fx.Node, tensor: Single) -> int | None:
        """How many channels a single tensor has where the pairs have theirs, see `Single`; ``source`` has become it."""
        if tensor.channels is not None and self.axes == STANDARD:
            return tensor.channels
        shape = self.conversion.facts.shape(source)
        axis = self.axes.index(1) - len(STANDARD)  # counted from the end, as broadcasting does
        if shape is None:
            return None if isinstance(self.conversion.facts.value(source), list | tuple) else 0
        return shape[axis] if len(shape) >= -axis else 0

    def divided(self, source: fx.Node, tensor: Single, layout: Layout, like: Paired) -> Paired:
        """The single tensor that ``source`` has become as a pair with ``layout``, resized as ``like`` is."""
        self.explain("divide", layout.split, source=source)
        if like.axes != STANDARD:
            shape = self.conversion.facts.shape(source)
            assert shape is not None
            tensor = replace(tensor, node=self.building.in_standard_order(tensor.node, len(shape), like.axes))
        return replace(self.building.divide(tensor, layout, like), axes=like.axes)

    def tensor(self, value: Value) -> Argument:
        """A single tensor, or a tuple of them, as an argument.

        Raises:
            UnsupportedModel: if it is a pair.
        """
        match value:
            case Single():
                return value.node
            case Parts():
                return tuple(map(self.tensor, value.values))
        raise self.refusal(f"{self.description} has no meaning on a pair here")

    # Explanations

    def explain(self, role: Role, split: Split | None = None, note: str = "", source: fx.Node | None = None) -> None:
        """Record what becomes of the operation, or of the operation at the node ``source``."""
        call = self if source is None else Call(source, self.conversion.modules)
        path = call.place or call.node.name
        explained = ExplainedOperation(path=path, operation=call.description, role=role, split=split, note=note)
        self.conversion.explained.append(explained)

    def refusal(self, reason: str) -> "Refusal":
        """The error that the operation has no meaning on the pairs that it reads."""
        place = self.place or "the network itself"
        return Refusal(f"node {self.node.name!r} ({place}) cannot be converted: {reason}")

    def _unchanged(self, module: nn.Module) -> nn.Module:
        """A module that stays as it is, except for a bias that BatchNorm makes redundant."""
        bias = self.conversion.dropped_biases.get(self.path)
        return module if self.options.share and bias is None else self.building.made(without_bias, module, bias)


class Refusal(UnsupportedModel):
    """An operation has no meaning on the pairs that it reads; it may be done on their joined tensors."""


def _on_each_branch(function: Callable[..., Tensor]) -> PerBranch:
    return PerBranch(copy.deepcopy(function) if isinstance(function, nn.Module) else function)


def _channels_of_constant(value: object) -> int | None:
    """0 for a number, or a parameter that is the same for all channels; otherwise not known."""
    return 0 if not isinstance(value, Tensor) or value.dim() < 3 or value.shape[-3] == 1 else None
