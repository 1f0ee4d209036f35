"""Networks with timm's interface: whole ones, and those that give their maps."""

from typing import cast

from torch import Tensor, fx, nn

from sfic_bench.convert.graph import nodes_in
from sfic_bench.convert.parts import part
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.timm.code import Code


class SficNetwork(nn.Module):
    """A network with timm's interface: images ``[B, C, H, W]`` to logits ``[B, num_classes]``.

    Attributes:
        num_classes: number of logits; 0 for a network without a classifier, which gives what the classifier would read.
        num_features: channels of the last map, which `forward_features` gives.
        head_hidden_size: how many values the classifier reads.
        pretrained_cfg: timm's description of the network's input; ``default_cfg`` is the same.
    """

    def __init__(
        self,
        network: fx.GraphModule,
        head: fx.GraphModule,
        *,
        classifier: str,
        num_features: int | None,
        pretrained_cfg: object = None,
    ) -> None:
        """``network`` gives the last map and the logits, and ``head`` the logits of that map, in lists.

        ``classifier`` is the name of the layer that gives the logits.
        """
        super().__init__()
        head = _beside(head, network)
        for graph in (network, head):
            _adopt(self, graph)
        last, logits = results_of(network)
        call, call_in_head = (_call_of(classifier, graph) for graph in (network.graph, head.graph))
        (pooled,), (pooled_in_head,) = call.all_input_nodes, call_in_head.all_input_nodes
        self._features, self._pooled_features = (Code.of(part(network, [node]).graph) for node in (last, pooled))
        self._pooled = Code.of(part(head, [pooled_in_head]).graph)
        self._tail = Code.of(part(network, [logits], call).graph)
        self._classifier = classifier
        layer = self.get_classifier()
        self._is_linear = isinstance(layer, nn.Linear)
        of_linear = ("in_features", "out_features")
        names = of_linear if self._is_linear else ("in_channels", "out_channels")
        self.head_hidden_size, self.num_classes = (getattr(layer, name) for name in names)
        self.num_features: int = num_features or self.head_hidden_size
        self._pools = True
        self.pretrained_cfg = self.default_cfg = pretrained_cfg

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map, ``[B, num_features, H', W']``."""
        (last,) = self._features(self, x)
        return last

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The logits of the last map ``x``; with ``pre_logits`` what the classifier reads, ``[B, width]``.

        In a network without Stage 3, whose branches are pooled one by one, the logits of an image are those of
        `forward` only if the size of S is a multiple of that of F.
        """
        return self._classified(self._pooled(self, x), pre_logits) if self._pools else x

    def forward(self, x: Tensor) -> Tensor:
        return self._classified(self._pooled_features(self, x)) if self._pools else self.forward_features(x)

    def _classified(self, pooled: list[Tensor], pre_logits: bool = False) -> Tensor:
        if pre_logits or not self.num_classes:
            return pooled[0].flatten(1)
        (logits,) = self._tail(self, self.get_classifier()(pooled[0]))
        return logits

    def get_classifier(self) -> nn.Module:
        """The layer that gives the logits."""
        return self.get_submodule(self._classifier)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one; 0 classes leave it out.

        Args:
            num_classes: number of logits.
            global_pool: ``"avg"``, or ``""`` for a network without a classifier that gives the last map.

        Raises:
            InvalidValue: for another ``global_pool``, or a classifier that nothing is pooled for.
        """
        if global_pool not in (None, "", "avg"):
            raise InvalidValue(f"global_pool must be 'avg' or '', got {global_pool!r}")
        pools = self._pools if global_pool is None else bool(global_pool)
        if num_classes and not pools:
            raise InvalidValue(f"a classifier of {num_classes} classes needs global_pool='avg'")
        place = next(self.parameters())
        layer: nn.Module = nn.Identity()
        if num_classes:
            width = self.head_hidden_size
            layer = nn.Linear(width, num_classes) if self._is_linear else nn.Conv2d(width, num_classes, 1)
        parent, _, name = self._classifier.rpartition(".")
        setattr(self.get_submodule(parent), name, layer.to(place.device, place.dtype))
        self.num_classes, self._pools = num_classes, pools


class SficFeatures(nn.Module):
    """A network that gives maps: images ``[B, C, H, W]`` to a list of ``[B, channels, H / reduction, W / reduction]``.

    Attributes:
        feature_info: timm's description of the maps: ``channels()``, ``reduction()``, ``module_name()``.
        pretrained_cfg: timm's description of the network's input; ``default_cfg`` is the same.
    """

    def __init__(self, network: fx.GraphModule, feature_info: object, pretrained_cfg: object = None) -> None:
        super().__init__()
        _adopt(self, network)
        self._features = Code.of(network.graph)
        self.feature_info = feature_info
        self.pretrained_cfg = self.default_cfg = pretrained_cfg

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self._features(self, x))


def _beside(head: fx.GraphModule, network: fx.GraphModule) -> fx.GraphModule:
    """``head`` with the modules of ``network``, save for pools of pairs there, whose vanilla forms get other names."""
    shared, modules = dict(network.named_modules()), dict[str, object]()
    for node in head.graph.nodes:
        path = str(node.target)
        if node.op == "call_module":
            vanilla = head.get_submodule(path)
            if type(shared.get(path)) is not type(vanilla):
                node.target = f"of_map.{path.replace('.', '_')}"
                shared[node.target] = vanilla
            modules[node.target] = shared[node.target]
        elif node.op == "get_attr":
            owner, _, name = path.rpartition(".")
            modules[path] = getattr((network if owner in shared else head).get_submodule(owner), name)
    return fx.GraphModule(modules, head.graph)


def _call_of(classifier: str, graph: fx.Graph) -> fx.Node:
    calls: list[fx.Node] = [node for node in graph.nodes if node.target == classifier]
    if len(calls) != 1:
        raise UnsupportedModel(
            f"the layer {classifier!r}, which gives the logits, is called {len(calls)} times, not once"
        )
    return calls[0]


def results_of(network: fx.GraphModule) -> list[fx.Node]:
    """The nodes that a graph gives, in order; one may be there several times."""
    (output,) = (node for node in network.graph.nodes if node.op == "output")
    return nodes_in(output.args)


def _adopt(owner: nn.Module, network: fx.GraphModule) -> None:
    """Give ``owner`` the modules and parameters that the graph of ``network`` names, under their names."""
    for node in network.graph.nodes:
        if node.op not in ("call_module", "get_attr"):
            continue
        path, _, name = str(node.target).rpartition(".")
        value = getattr(network.get_submodule(path), name)
        parent = owner
        for step in filter(None, path.split(".")):
            if step not in parent._modules:
                parent.add_module(step, nn.Module())
            parent = cast(nn.Module, parent._modules[step])
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            persistent = name not in network.get_submodule(path)._non_persistent_buffers_set
            parent.register_buffer(name, value, persistent=persistent)
        else:
            setattr(parent, name, value)
