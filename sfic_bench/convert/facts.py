"""What the values of a vanilla network are when it runs: the shapes of its tensors, and the numbers it computes."""

from collections.abc import Mapping
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx
from torch.fx.node import Argument, Target

from sfic_bench.convert.images import images_of
from sfic_bench.convert.norms import known_norm
from sfic_bench.errors import UnsupportedModel, first_line
from sfic_bench.modules import on_meta


class Facts:
    """The values of all nodes of a vanilla network for two images, found by one run without data when first asked for.

    Rules ask where a graph does not say what they must know, as in ``x.view(b, n, c // n, h, w)``. All conversions of a
    graph share that run.
    """

    def __init__(self, vanilla: fx.GraphModule) -> None:
        self._vanilla = vanilla

    def shape(self, node: fx.Node) -> tuple[int, ...] | None:
        """The shape of the tensor that ``node`` gives; ``None`` if it gives something else.

        Raises:
            UnsupportedModel: if the network runs on no images of a usual size.
        """
        value = self.value(node)
        return tuple(value.shape) if isinstance(value, Tensor) else None

    def value(self, argument: Argument) -> object:
        """What ``argument`` is: for a node its value, else itself.

        Raises:
            UnsupportedModel: if the network runs on no images of a usual size.
        """
        if not isinstance(argument, fx.Node):
            return argument
        if self._vanilla not in _VALUES:
            _VALUES[self._vanilla] = _run(self._vanilla)
        return _VALUES[self._vanilla][argument.name]


_VALUES: WeakKeyDictionary[fx.GraphModule, Mapping[str, object]] = WeakKeyDictionary()
"""What the nodes of each graph give, by their names: a node itself would keep its graph alive."""


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the value of every node."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        self.env[n] = value
        return value

    def call_module(self, target: Target, args: tuple[Argument, ...], kwargs: dict[str, object]) -> object:
        # A norm keeps the shape, and torch's kernels for shapes take long to say so.
        if known_norm(self.fetch_attr(str(target))):
            return torch.empty_like(cast(Tensor, args[0]))
        return super().call_module(target, args, kwargs)


def _run(vanilla: fx.GraphModule) -> Mapping[str, object]:
    network = on_meta(vanilla)
    dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), None)
    reasons = {}
    for shape in images_of(vanilla):
        recorder = _Recorder(network)
        try:
            with torch.no_grad():
                recorder.run(torch.empty(2, *shape, device="meta", dtype=dtype))
        except Exception as error:  # whatever the network's own code raises
            reasons[shape] = first_line(error)
            continue
        twins = zip(vanilla.graph.nodes, network.graph.nodes, strict=True)
        return {node.name: recorder.env.get(twin) for node, twin in twins}
    shape, reason = next(iter(reasons.items()))
    raise UnsupportedModel(f"{type(vanilla).__name__} does not run on images of {'×'.join(map(str, shape))}: {reason}")
