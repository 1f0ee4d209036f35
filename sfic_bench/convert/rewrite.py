"""A vanilla network and a placement become an SFIC network, by one pass over the graph.

A convolution's node calls a stage, a norm's node a norm per branch, and so on. Which of them carry a
pair follows from the data flow; each pair's `Layout` travels along with it and is never worked out anew.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from sfic_bench.convert import meanings
from sfic_bench.convert.building import Building
from sfic_bench.convert.channels import ChannelCounts, ranges_of, shuffle_at
from sfic_bench.convert.graph import (
    attribute_of,
    called,
    nodes_in,
    take_over_modes,
    where,
)
from sfic_bench.convert.layout import Layout
from sfic_bench.convert.placement import Placement
from sfic_bench.convert.stages import stage_of
from sfic_bench.convert.weights import dealt_norm, redundant_biases, without_bias
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import McsMode, PerBranch, Split
from sfic_bench.nn.adapters import Concatenate, PickBranches

OnUnsupported = Literal["error", "keep"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What became of one operation of the vanilla network.

    ``role``: Stage 1–3, ``vanilla``, ``per branch``, ``divide``, ``join`` or ``kept``.
    """

    path: str
    operation: str
    role: str
    split: Split | None
    note: str = ""


class Rewrite:
    """One pass over a vanilla graph. Its ``steps`` tell what became of what."""

    def __init__(
        self,
        vanilla: fx.GraphModule,
        placement: Placement,
        alpha: float,
        beta: float,
        mcs: McsMode,
        on_unsupported: OnUnsupported = "error",
        share: bool = False,
    ) -> None:
        self.vanilla, self.placement = vanilla, placement
        self.alpha, self.beta, self.mcs = alpha, beta, mcs
        self.on_unsupported, self.share = on_unsupported, share
        self.steps: list[Step] = []
        self.old_modules = dict(vanilla.named_modules())
        self.old_nodes = {str(n.target): n for n in vanilla.graph.nodes if n.op == "call_module"}
        self.uses: dict[str, Layout | None] = {}
        self.dropped_biases = redundant_biases(vanilla)
        self.built = Building()
        self.new: dict[fx.Node, fx.Node] = {}
        self.layouts: dict[fx.Node, Layout] = {}  # of the old nodes that carry a pair now
        # Of the old nodes that gave several pairs, those.
        self.parts: dict[fx.Node, list[tuple[fx.Node, Layout]]] = {}
        self.counts = ChannelCounts(self._old_module)  # of the old nodes that carry a tensor
        self.viewed: set[fx.Node] = set()  # all but the first node of channel shuffles of pairs
        self.sizes: set[fx.Node] = set()  # sizes of pairs, which nothing but a channel shuffle may read

    def run(self) -> fx.GraphModule:
        placement = self.placement
        named = (*placement.stage1, *placement.stage3, *placement.reads)
        for name in (*named, *placement.reads.values()):
            if not isinstance(self.old_modules.get(name), nn.Conv2d) or name not in self.old_nodes:
                raise UnsupportedModel(f"the placement names {name!r}, which is no Conv2d of this network")
        for node in self.vanilla.graph.nodes:
            self._visit(node)
        sfic = fx.GraphModule(self.built.modules, self.built.graph, f"SFIC{type(self.vanilla).__name__}")
        if self.on_unsupported == "keep" and sfic.graph.eliminate_dead_code():
            sfic.recompile()  # sizes that only channel shuffles had read
        take_over_modes(self.old_modules, sfic)
        return sfic

    # What a node becomes

    def _visit(self, node: fx.Node) -> None:
        inputs = self._inputs(node)
        if node in self.viewed or node in self.sizes:
            return
        source = inputs[0] if inputs else None
        if source in self.parts:
            self._take_part(node, source)
        elif any(i in self.layouts for i in inputs):
            self._on_pairs(node, [i for i in inputs if i in self.layouts])
        elif any(i in self.sizes for i in inputs):
            if node.target not in meanings.ARITHMETIC or any(i not in self.sizes for i in inputs):
                raise self.refusal(node, f"{called(node)} reads the size of a pair")
            self.sizes.add(node)
        elif node.target in self.placement.stage1:
            self._convolution(node, None)
        else:
            self._as_it_is(node)

    def _on_pairs(self, node: fx.Node, pairs: list[fx.Node]) -> None:
        module = self._old_module(node)
        layout = self.layouts[pairs[0]]
        if node.op == "output" and not self._may_join(node):
            raise self.refusal(node, "the result is a pair: no Stage 3 on the way to it")
        if isinstance(module, nn.Conv2d):
            self._convolution(node, layout)
        elif module is not None and meanings.is_norm(module):
            self._norm(node, module, layout)
        elif self.on_unsupported == "error" and (
            node.target in meanings.SIZES or (node.target is getattr and node.args[1] == "shape")
        ):
            self.sizes.add(node)
        elif node.target in meanings.CATS:
            self._concatenation(node)
        elif meanings.keeps_channels(node, module):
            self._per_branch(node, module, pairs)
        elif (shuffle := shuffle_at(node, layout.total)) is not None:
            end = shuffle.chain[-1]
            self.viewed.update(shuffle.chain[1:])
            self.new[end], self.layouts[end] = self.new[pairs[0]], layout.relabelled(shuffle.order)
            self._tell(node, "per branch", layout.split, "channel shuffle: moves nothing")
        elif (ranges := ranges_of(node, layout.total)) is not None:
            self._pick(node, pairs[0], ranges)
        else:
            self._unsupported(node, pairs)

    def _as_it_is(self, node: fx.Node) -> None:
        target = str(node.target)
        if node.op == "get_attr":
            self.built.modules[target] = copy.deepcopy(attribute_of(self.vanilla, target))
        if node.op == "call_module":
            if target in self.placement.stage3:
                raise self.refusal(node, "Stage 3 needs a pair, got a single tensor")
            if isinstance(self.built.modules.get(target), PerBranch):
                raise self.refusal(
                    node, f"{self._operation(node)} serves a pair before and a single tensor here"
                )
            if target not in self.built.modules:
                self.built.modules[target] = self._single(target, self.old_modules[target])
            if isinstance(self.old_modules[target], nn.Conv2d):
                self._tell(node, "vanilla", None)
        self.new[node] = self.built.graph.node_copy(node, self.new.__getitem__)
        self.counts.see(node)

    def _convolution(self, node: fx.Node, layout: Layout | None) -> None:
        target = str(node.target)
        conv = self.old_modules[target]
        assert isinstance(conv, nn.Conv2d)
        if target in self.placement.stage1 and layout is not None:
            raise self.refusal(node, "Stage 1 needs a single tensor, got a pair")
        if target in self.uses and self.uses[target] != layout:
            raise self.refusal(node, "it is called again, with channels split differently")
        self.uses[target] = layout
        as_stage3 = target in self.placement.stage3
        try:
            made = stage_of(
                conv,
                layout,
                alpha=self.alpha,
                beta=self.beta,
                mcs=self.mcs,
                as_stage3=as_stage3,
                bias=conv.bias is not None and target not in self.dropped_biases,
            )
        except ValueError as error:
            raise self.refusal(node, str(error)) from error
        self.built.modules.setdefault(target, made.stage)
        self.new[node] = self.built.call(target, *map(self.new.__getitem__, self._inputs(node)))
        if made.layout is not None:
            self.layouts[node] = made.layout
        else:
            self.counts.see(node)
        role = "Stage 3" if as_stage3 else "Stage 1" if layout is None else "Stage 2"
        self._tell(node, role, None if made.layout is None else made.layout.split)

    def _norm(self, node: fx.Node, norm: nn.Module, layout: Layout) -> None:
        target = str(node.target)
        try:
            parts = [dealt_norm(norm, branch, self.dropped_biases.get(target)) for branch in layout]
        except ValueError as error:
            raise self.refusal(node, str(error)) from error
        # The head's norms are the head's own; one that serves both is called twice.
        name = target if target not in self.built.modules else f"{target}_pair"
        self.built.modules.setdefault(name, PerBranch(*parts))
        self._emit(node, name, layout)

    def _per_branch(self, node: fx.Node, module: nn.Module | None, pairs: list[fx.Node]) -> None:
        if module is not None:
            # A copy even where modules are shared: with two parents, counters would count it twice.
            target = f"{node.target}_pair"  # one module may serve tensors here and pairs there
            self.built.modules.setdefault(target, PerBranch(copy.deepcopy(module)))
            self._emit(node, target, self.layouts[pairs[0]])
            return
        lead = next((p for p in pairs if not self._is_gate(p)), pairs[0])
        layout = self.layouts[lead]
        replaced = {i: self._as_pair(i, lead) for i in nodes_in(node.args, node.kwargs)}
        function: Callable[..., Any] | nn.Module
        args, kwargs = node.args, dict(node.kwargs)
        if node.target in meanings.POOL_FUNCTIONS:
            function = meanings.POOL_FUNCTIONS[node.target](*args[1:], **_without(kwargs, "input"))
            args, kwargs = (lead,), {}
        elif node.op == "call_method":
            function = getattr(torch.Tensor, str(node.target))
        else:
            assert callable(node.target)
            function = node.target
        target = self._name(node)
        self.built.modules[target] = PerBranch(function)
        self.new[node] = self.built.call(
            target, *fx.map_arg(args, replaced.__getitem__), **fx.map_arg(kwargs, replaced.__getitem__)
        )
        self.layouts[node] = layout
        self._tell(node, "per branch", layout.split)

    def _concatenation(self, node: fx.Node) -> None:
        tensors = list(meanings.argument(node, 0, "tensors"))
        dim = meanings.argument(node, 1, "dim", 0)
        if dim not in (1, -3):
            raise self.refusal(node, f"pairs can be concatenated along channels (1), not along {dim}")
        lead = next(t for t in tensors if t in self.layouts)
        layouts = [self.layouts.get(t) or self._layout_of_tensor(node, t) for t in tensors]
        parts = [
            self.new[t] if t in self.layouts else self._divide(t, layout, lead)
            for t, layout in zip(tensors, layouts, strict=True)
        ]
        target = self._name(node)
        self.built.modules[target] = Concatenate([layout.split for layout in layouts])
        self.new[node] = self.built.call(target, *parts)
        self.layouts[node] = Layout.concatenated(layouts)
        self._tell(node, "per branch", self.layouts[node].split)

    def _pick(self, node: fx.Node, pair: fx.Node, ranges: list[range]) -> None:
        found = []
        for i, wanted in enumerate(ranges):
            layout, spatial, frequency = self.layouts[pair].selected(wanted)
            target = f"{self._name(node)}_{i}"
            self.built.modules[target] = PickBranches(spatial, frequency, self.layouts[pair].split.spatial)
            found.append((self.built.call(target, self.new[pair]), layout))
        if node.target in (*meanings.PARTS, *meanings.PART_METHODS):
            self.parts[node] = found
        else:
            self.new[node], self.layouts[node] = found[0]
        self._tell(
            node, "per branch", None, ", ".join(f"{x.split.spatial}+{x.split.frequency}" for _, x in found)
        )

    def _take_part(self, node: fx.Node, source: fx.Node) -> None:
        if meanings.argument(node, 0, "") is source and isinstance(node.args[1], int):
            self.new[node], self.layouts[node] = self.parts[source][node.args[1]]
            return
        raise self.refusal(node, "parts of a pair can be taken one by one")

    def _unsupported(self, node: fx.Node, pairs: list[fx.Node]) -> None:
        if not self._may_join(node) and self.on_unsupported == "error":
            raise self.refusal(
                node,
                f"{self._operation(node)} has no meaning on a pair; on_unsupported='keep' (--on-unsupported keep) leaves it vanilla",
            )
        if any(i in self.sizes for i in self._inputs(node)):
            raise self.refusal(node, f"{called(node)} reads the size of a pair")
        joined = {p: self._join(p) for p in dict.fromkeys(pairs)}
        if node.op == "call_module":
            self.built.modules.setdefault(
                str(node.target), self._single(str(node.target), self.old_modules[str(node.target)])
            )
        self.new[node] = self.built.graph.node_copy(node, lambda n: joined.get(n, self.new[n]))
        self._tell(node, "join" if self._may_join(node) else "kept", None)

    # Between pairs and tensors

    def _as_pair(self, old: fx.Node, lead: fx.Node) -> fx.Node:
        """``old`` as it meets the pair ``lead`` in a function of several inputs."""
        layout = self.layouts[lead]
        if old in self.layouts:
            if self.layouts[old] == layout:
                return self.new[old]
            return self.built.divide(self._join(old), layout, self.new[lead])
        if self._is_broadcast(old):
            return self.new[old]
        return self._divide(old, layout if self.counts.get(old) != 1 else Layout((0,), (0,)), lead)

    def _divide(self, old: fx.Node, layout: Layout, lead: fx.Node) -> fx.Node:
        self._tell(old, "divide", layout.split)
        return self.built.divide(self.new[old], layout, self.new[lead])

    def _join(self, old: fx.Node) -> fx.Node:
        return self.built.join(self.new[old], self.layouts[old])

    def _may_join(self, node: fx.Node) -> bool:
        return self.placement.joins and not any(
            isinstance(self.old_modules.get(str(n.target)), nn.Conv2d) for n in _descendants(node)
        )

    def _is_broadcast(self, old: fx.Node) -> bool:
        """A constant, or a parameter, that is the same for all channels."""
        if old.op != "get_attr":
            return False
        value = attribute_of(self.vanilla, str(old.target))
        return not isinstance(value, Tensor) or value.dim() < 3 or value.shape[-3] == 1

    def _is_gate(self, old: fx.Node) -> bool:
        """Whether a value is 1×1 because all of a map was pooled: it follows what it is multiplied with."""
        seen: set[fx.Node] = set()
        ahead = [old]
        while ahead:
            node = ahead.pop()
            if node in seen:
                continue
            seen.add(node)
            module = self._old_module(node)
            if isinstance(module, nn.AdaptiveAvgPool2d) or meanings.is_spatial_mean(node):
                return True
            if meanings.keeps_channels(node, module) and len(nodes_in(node.args, node.kwargs)) > 1:
                continue  # a sum or product is as large as the larger of its inputs
            ahead += nodes_in(node.args, node.kwargs)
        return False

    def _layout_of_tensor(self, node: fx.Node, old: fx.Node) -> Layout:
        count = self.counts.get(old)
        if count is None:
            raise self.refusal(node, f"it joins pairs and {old.name!r}, whose channels are not known")
        return Layout.of(Split.of(count, self.alpha))

    # Odds and ends

    def _old_module(self, node: fx.Node) -> nn.Module | None:
        return self.old_modules.get(str(node.target)) if node.op == "call_module" else None

    def _inputs(self, node: fx.Node) -> list[fx.Node]:
        """What ``node`` reads: its own inputs, unless the placement says otherwise."""
        other = self.placement.reads.get(str(node.target))
        read = node if other is None else self.old_nodes[other]
        return nodes_in(read.args, read.kwargs)

    def _emit(self, node: fx.Node, target: str, layout: Layout) -> None:
        args, kwargs = fx.map_arg((node.args, node.kwargs), self.new.__getitem__)
        self.new[node] = self.built.call(target, *args, **kwargs)
        self.layouts[node] = layout
        self._tell(node, "per branch", layout.split)

    def _name(self, node: fx.Node) -> str:
        return ".".join(filter(None, (where(node), node.name)))

    def _single(self, target: str, old: nn.Module) -> nn.Module:
        """A module that stays as it is, except for a bias that BatchNorm makes redundant."""
        bias = self.dropped_biases.get(target)
        if self.share and bias is None:
            return old
        return without_bias(old, bias)

    def _tell(self, node: fx.Node, role: str, split: Split | None, note: str = "") -> None:
        self.steps.append(
            Step(
                path=where(node) or node.name,
                operation=self._operation(node),
                role=role,
                split=split,
                note=note,
            )
        )

    def _operation(self, node: fx.Node) -> str:
        module = self._old_module(node)
        return called(node) if module is None else type(module).__name__

    def refusal(self, node: fx.Node, reason: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"node {node.name!r} ({where(node) or 'the network itself'}) cannot be converted: {reason}"
        )


def _descendants(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    ahead = [node]
    while ahead:
        for user in ahead.pop().users:
            if user not in found:
                found.add(user)
                ahead.append(user)
    return found


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != name}
