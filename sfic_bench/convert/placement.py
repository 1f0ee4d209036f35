"""Which convolution becomes which stage: as the paper has it, or from the graph.

From the graph, convolutions that read nothing but the input are the head and stay. A dense
convolution that reads the head's result becomes Stage 1, and from there on data flows in pairs.
The classifier, everything that no convolution comes after, needs a single tensor. Sums, norms and
pools do not change what a value is, so all values tied together by them are pairs or all are tensors (the rules
say which operations tie). What is tied to the classifier's input is a tensor: every convolution whose result is tied to
it is a Stage 3, and whatever reads it is vanilla again. In a ResNet that is the whole last stage's residual stream,
which is why Table II only comes out with Stage 3 in layer4's first block. Where less than three quarters of the MACs
would lie on pairs, as with one stream through the whole network, pairs are joined for the classifier without a Stage 3.
"""

from math import prod

from torch import fx, nn

from sfic_bench.convert.conv_code import code_of
from sfic_bench.convert.graph import Call, nodes_in
from sfic_bench.convert.options import Placement
from sfic_bench.convert.rules import rule_for
from sfic_bench.convert.values import STANDARD, Axes
from sfic_bench.errors import UnsupportedModel
from sfic_bench.modules import modules_by_name

RESNET = Placement(
    stage1=("layer1.0.conv1",),
    # The paper's text puts Stage 3 at the last convolution of the body, but 9 of the 12 cells of
    # Table II only come out with it in the first block of layer4, where the released code has it.
    stage3=("layer4.0.conv3", "layer4.0.downsample.0"),
    # This departs from the automatic placement, which makes a second Stage 1 of this shortcut, since it
    # reads a single tensor: that would cost GMacs that Table II does not have. It exchanges Stage 1's
    # output instead.
    reads={"layer1.0.downsample.0": "layer1.0.conv2"},
)
"""Bottleneck ResNets with torchvision's names."""


def placement_of(graph: fx.GraphModule, divides: bool = True) -> Placement:
    """The paper's placement where the paper has one for this structure, else `automatic`.

    ``divides`` says whether a convolution divides a tensor that has been joined for want of a meaning on a pair.

    Bottleneck ResNets are known by their names (not wider ones, whose shortcut cannot read Stage 1's result). In a
    chain (VGG, MobileNet v1) the first convolution is the head, the second becomes Stage 1 and the last Stage 3; the
    automatic placement departs from that for MobileNet alone, whose second convolution is depthwise.

    Raises:
        UnsupportedModel: for a network without a place for Stage 1.
    """
    convolutions = {name: m for name, m in modules_by_name(graph).items() if isinstance(m, nn.Conv2d)}
    if convolutions.keys() >= {*RESNET.stage1, *RESNET.stage3, *RESNET.reads, *RESNET.reads.values()} and all(
        convolutions[shortcut].in_channels == convolutions[other].in_channels
        for shortcut, other in RESNET.reads.items()
    ):
        return RESNET
    chain = [str(node.target) for node in graph.graph.nodes if node.target in convolutions]
    branches = any(len(node.all_input_nodes) > 1 for node in graph.graph.nodes)
    are_replaceable = all(_is_replaceable(convolutions[name]) for name in (*chain[1:2], *chain[-1:]))
    if not branches and len(chain) >= 3 and convolutions[chain[-1]].groups == 1 and are_replaceable:
        return Placement(stage1=(chain[1],), stage3=(chain[-1],))
    return automatic(graph, divides)


LEAST_SHARE = 0.75
"""The share of the MACs that must lie on pairs, unless pairs are joined for the classifier."""


def automatic(graph: fx.GraphModule, divides: bool = True) -> Placement:
    """The placement that follows from the graph alone; see the module's description, and `placement_of`.

    Raises:
        UnsupportedModel: for a network without a place for Stage 1.
    """
    flow = _Flow(graph)
    placement, share = flow.place(flow.classifiers_inputs(), divides)
    if not placement.stage1 or placement.joins or share < LEAST_SHARE:
        # The classifier's input is tied to the head or to much of the network, or no dense convolution gives it.
        placement, _ = flow.place(set(), divides)
    if not placement.stage1:
        raise UnsupportedModel(
            f"{len(flow.convolutions)} convolutions, and none to become Stage 1: it takes a dense "
            "convolution that reads a feature map which another convolution has given"
        )
    return placement


def _is_replaceable(layer: nn.Conv2d | nn.Linear) -> bool:
    """Whether a stage can stand for ``layer``."""
    if isinstance(layer, nn.Linear):
        return type(layer).forward is nn.Linear.forward
    try:
        code_of(layer)
    except ValueError:
        return False
    return True


def _shrinks_by(layer: nn.Module | None) -> int:
    """How many times fewer places the result of ``layer`` has, because of a stride."""
    stride = layer.stride if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) else 1
    return stride**2 if isinstance(stride, int) else prod(stride)


class _Flow:
    """The nodes of a graph, and which of them are tied together.

    Attributes:
        convolutions: the module of each node that calls a convolution, or a linear layer on the channels of a map.
        macs: about how many MACs each convolution has, for an input of one pixel: strides make maps smaller.
        tied, pooling: nodes whose operation ties its result to its inputs, and nodes whose result is 1×1.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self.nodes = list(graph.graph.nodes)
        self.convolutions: dict[fx.Node, nn.Conv2d | nn.Linear] = {}
        self.macs: dict[fx.Node, float] = {}
        self.tied: set[fx.Node] = set()
        self.pooling: set[fx.Node] = set()
        self._parents: dict[fx.Node, fx.Node] = {}
        modules = modules_by_name(graph)
        axes: dict[fx.Node, Axes | None] = {}
        places: dict[fx.Node, float] = {}
        for node in self.nodes:
            sources = nodes_in(node.args, node.kwargs)
            read = next((a for a in map(axes.get, sources) if a is not None), None)
            call = Call(node, modules, read or STANDARD)
            rule = rule_for(call)
            if rule is not None and (read is not None or isinstance(call.module, nn.Conv2d)):
                axes[node] = rule.moves(call)
            is_map = read is not None and call.is_channels(-1)
            if isinstance(call.module, nn.Conv2d) or (isinstance(call.module, nn.Linear) and is_map):
                self.convolutions[node] = call.module
            places[node] = max((places[source] for source in sources), default=1) / _shrinks_by(call.module)
            if node in self.convolutions:
                weights = sum(p.numel() for p in self.convolutions[node].parameters() if p.dim() > 1)
                self.macs[node] = weights * places[node]
            if rule is not None and rule.pools(call):
                self.pooling.add(node)
            if rule is not None and rule.ties(call):
                self.tied.add(node)
                for source in sources:
                    self._parents[self.root(source)] = self.root(node)

    def root(self, node: fx.Node) -> fx.Node:
        """One node that stands for all nodes that are tied to ``node``."""
        while (parent := self._parents.get(node, node)) is not node:
            node = parent
        return node

    def classifiers_inputs(self) -> set[fx.Node]:
        """The roots of what is read by operations that are no part of a map and that no convolution comes after."""
        before_convolutions: set[fx.Node] = set()
        inputs: set[fx.Node] = set()
        unread: set[fx.Node] = set()  # checks of sizes, and what is computed for them
        for node in reversed(self.nodes):
            if node.op != "output" and unread.issuperset(node.users):
                unread.add(node)
            elif any(user in before_convolutions or user in self.convolutions for user in node.users):
                before_convolutions.add(node)
            elif node not in self.convolutions and node not in self.tied:
                inputs.update(self.root(source) for source in nodes_in(node.args, node.kwargs))
        return inputs

    def place(self, tensors: set[fx.Node], divides: bool) -> tuple[Placement, float]:
        """Where Stages 1 and 3 go if all tied to one of the roots ``tensors`` is single, and the stages' share of MACs.

        With ``divides``, a convolution divides a tensor that has been joined for want of a meaning on a pair.
        """
        depth: dict[fx.Node, int] = {}
        pooled: set[fx.Node] = set()
        pairs: set[fx.Node] = set()
        joined: set[fx.Node] = set()  # tensors made of pairs, for operations without a meaning on pairs
        fused: set[fx.Node] = set()  # tensors made of pairs by Stage 3, and what is made of them
        stage1: list[str] = []
        stage3: list[fx.Node] = []
        joins = not tensors
        for node in self.nodes:
            inputs = nodes_in(node.args, node.kwargs)
            needs_tensor = self.root(node) in tensors
            conv = self.convolutions.get(node)
            reads_joined = not joined.isdisjoint(inputs) and fused.isdisjoint(inputs)
            reads_pair = not pairs.isdisjoint(inputs) or (conv is not None and reads_joined and divides)
            depth[node] = max((depth[i] for i in inputs), default=0) + (conv is not None)
            # A map times a gate is a map.
            if node in self.pooling or (inputs and all(i in pooled or i.op == "get_attr" for i in inputs)):
                pooled.add(node)
            is_dense = conv is not None and getattr(conv, "groups", 1) == 1
            if conv is not None and not _is_replaceable(conv):
                conv, is_dense = None, False
            if reads_pair and (node in self.tied or (conv is not None and not needs_tensor)):
                pairs.add(node)
                joins |= needs_tensor
            elif reads_pair and conv is not None:
                stage3.append(node)
                fused.add(node)
                joins |= not is_dense
            elif not fused.isdisjoint(inputs):
                fused.add(node)
            elif (reads_pair or reads_joined) and node not in pooled:
                joined.add(node)
            elif is_dense and depth[node] > 1 and inputs[0] not in pooled and not needs_tensor:
                stage1.append(str(node.target))
                pairs.add(node)
        stages = (*pairs.intersection(self.convolutions), *stage3)
        share = sum(map(self.macs.__getitem__, stages)) / (sum(self.macs.values()) or 1)
        names = tuple(str(node.target) for node in stage3)
        return Placement(stage1=tuple(stage1), stage3=names, joins=joins), share
