"""Which convolution becomes which stage: as the paper has it, or from the graph.

From the graph. Convolutions that read nothing but the input are the head and stay. A dense
convolution that reads what the head gives becomes Stage 1, and from there on data flows in pairs.
The classifier, everything that no convolution comes after, needs a single tensor. Sums, norms and
pools do not change what a value is, so all values tied together by them are pairs or all are tensors:
what is tied to the classifier's input is a tensor, every convolution that gives it is a Stage 3, and
whatever reads it is vanilla again. In a ResNet that is the whole last stage's residual stream, which is
why Table II only comes out with Stage 3 in layer4's first block.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import fx, nn

from sfic_bench.convert import meanings
from sfic_bench.convert.graph import nodes_in
from sfic_bench.errors import UnsupportedModel


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a tensor becomes a pair, and where the pair becomes a tensor again.

    Everything in between follows from the data flow: a convolution that a pair reaches is a Stage 2
    unless it is named as a Stage 3, and one that a single tensor reaches stays as it is.

    Attributes:
        stage1, stage3: qualified names of convolutions.
        reads: convolutions that read the input of another one instead of their own.
        joins: join the pair without a Stage 3 where the classifier reads it.
    """

    stage1: tuple[str, ...]
    stage3: tuple[str, ...]
    reads: Mapping[str, str] = field(default_factory=dict)
    joins: bool = False


RESNET = Placement(
    stage1=("layer1.0.conv1",),
    # The paper's text puts Stage 3 at the last convolution of the body, but 9 of the 12 cells of
    # Table II only come out with it in the first block of layer4, where the released code has it.
    stage3=("layer4.0.conv3", "layer4.0.downsample.0"),
    # Departs from the automatic placement, which makes a second Stage 1 of this shortcut, since it
    # reads a single tensor: that would cost GMacs that Table II does not have. It exchanges Stage 1's
    # output instead.
    reads={"layer1.0.downsample.0": "layer1.0.conv2"},
)
"""Bottleneck ResNets with torchvision's names."""


def placement_of(graph: fx.GraphModule) -> Placement:
    """The paper's placement where the paper has one for this structure, else `automatic`.

    Bottleneck ResNets are told by their names (not wider ones, whose shortcut cannot read what Stage 1 gives). In a chain (VGG, MobileNet v1) the first convolution
    is the head, the second becomes Stage 1 and the last Stage 3; the automatic placement departs from
    that for MobileNet alone, whose second convolution is depthwise.

    Raises:
        UnsupportedModel: for a network without a place for Stage 1.
    """
    names = {name for name, m in graph.named_modules() if isinstance(m, nn.Conv2d)}
    if names.issuperset((*RESNET.stage1, *RESNET.stage3, *RESNET.reads, *RESNET.reads.values())) and all(
        _channels_in(graph, shortcut) == _channels_in(graph, other)
        for shortcut, other in RESNET.reads.items()
    ):
        return RESNET
    chain = [str(node.target) for node in graph.graph.nodes if node.target in names]
    branches = any(len(node.all_input_nodes) > 1 for node in graph.graph.nodes)
    if not branches and len(chain) >= 3 and _dense(graph.get_submodule(chain[-1])):
        return Placement(stage1=(chain[1],), stage3=(chain[-1],))
    return automatic(graph)


def automatic(graph: fx.GraphModule) -> Placement:
    """The placement that follows from the graph alone; see the module's description.

    Raises:
        UnsupportedModel: for a network without a place for Stage 1.
    """
    values = _Values(graph)
    found = values.place(values.classifiers_inputs())
    if not found.stage1 or found.joins:
        # The classifier's input is tied to the head, or no dense convolution gives it.
        found = values.place(set())
    if not found.stage1:
        raise UnsupportedModel(
            f"{len(values.convolutions)} convolutions, and none to become Stage 1: it takes a dense "
            "convolution that reads a feature map which another convolution has given"
        )
    return found


def _channels_in(graph: fx.GraphModule, name: str) -> int:
    conv = graph.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    return conv.in_channels


def _dense(module: nn.Module | None) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == 1


class _Values:
    """The values of a graph, and which of them belong together."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.nodes = list(graph.graph.nodes)
        modules = dict(graph.named_modules())
        self.module = {n: modules.get(str(n.target)) if n.op == "call_module" else None for n in self.nodes}
        self.convolutions = [n for n in self.nodes if isinstance(self.module[n], nn.Conv2d)]
        self._tied: dict[fx.Node, fx.Node] = {}
        for node in self.nodes:
            if self._ties(node):
                for other in nodes_in(node.args, node.kwargs):
                    self._tied[self.tie(other)] = self.tie(node)

    def tie(self, node: fx.Node) -> fx.Node:
        """One node that stands for all that are tied to ``node``."""
        while (up := self._tied.get(node, node)) is not node:
            node = up
        return node

    def _ties(self, node: fx.Node) -> bool:
        return meanings.keeps_channels(node, self.module[node]) or meanings.moves_channels(node)

    def classifiers_inputs(self) -> set[fx.Node]:
        """Ties of what the classifier reads."""
        ahead: set[fx.Node] = set()
        for node in reversed(self.nodes):
            if any(u in ahead or u in self.convolutions for u in node.users):
                ahead.add(node)
        asking = [
            n for n in self.nodes if n not in ahead and not self._is_inside(n) and n.op != "placeholder"
        ]
        return {self.tie(other) for node in asking for other in nodes_in(node.args, node.kwargs)}

    def _is_inside(self, node: fx.Node) -> bool:
        return isinstance(self.module[node], nn.Conv2d) or meanings.keeps_channels(node, self.module[node])

    def place(self, tensors: set[fx.Node]) -> Placement:
        """Stages 1 and 3 if all that is tied to one of ``tensors`` is a single tensor."""
        depth: dict[fx.Node, int] = {}
        pooled: set[fx.Node] = set()
        pairs: set[fx.Node] = set()
        after: set[fx.Node] = set()  # tensors that were pairs before
        stage1, stage3, joins = [], [], not tensors
        for node in self.nodes:
            inputs = nodes_in(node.args, node.kwargs)
            is_conv = node in self.convolutions
            reads_pair = any(i in pairs for i in inputs)
            wanted_tensor = self.tie(node) in tensors
            depth[node] = max((depth[i] for i in inputs), default=0)
            # A map times a gate is a map.
            if self._pools_all(node) or (inputs and all(i in pooled or i.op == "get_attr" for i in inputs)):
                pooled.add(node)
            if not is_conv:
                if self._ties(node) and reads_pair:
                    pairs.add(node)
                    joins |= wanted_tensor
                elif reads_pair or any(i in after for i in inputs):
                    after.add(node)
                continue
            depth[node] += 1
            dense = _dense(self.module[node])
            if reads_pair and wanted_tensor:
                stage3.append(str(node.target))
                after.add(node)
                joins |= not dense
            elif reads_pair:
                pairs.add(node)
            elif any(i in after for i in inputs):
                after.add(node)
            elif dense and depth[node] > 1 and inputs[0] not in pooled and not wanted_tensor:
                stage1.append(str(node.target))
                pairs.add(node)
        return Placement(stage1=tuple(stage1), stage3=tuple(stage3), joins=joins)

    def _pools_all(self, node: fx.Node) -> bool:
        module = self.module[node]
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            return module.output_size in (1, (1, 1))
        if node.target in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
            return meanings.argument(node, 1, "output_size") in (1, (1, 1))
        return meanings.is_spatial_mean(node)
