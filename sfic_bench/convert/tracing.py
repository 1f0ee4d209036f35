"""How a network becomes a graph of torch.fx: by symbols alone, or by symbols that know their value for one input.

Plain tracing runs the network's code on proxies. Code that branches on a size stops it, since a proxy has none. Such a
network is traced again, with proxies that have a value as well: what the network gives for images of one size, on the
meta device. A condition, an index or an iteration takes that value; all else stays symbolic, so that the graph serves
every size at which the code takes the same way. (`torch.export` follows such code, too, but its graph has operators in
place of modules, and takes up to twenty seconds.)
"""

import torch
from torch import fx, nn

from sfic_bench.convert.images import Shape, image_shapes, with_images
from sfic_bench.convert.plain_tracer import PlainTracer
from sfic_bench.convert.symbolic import symbolic_functions
from sfic_bench.convert.unchanged import unchanged
from sfic_bench.convert.valued import AsksForValues
from sfic_bench.convert.valued_tracer import ValuedTracer
from sfic_bench.errors import UnsupportedModel, first_line

IMAGES = 31
"""How many images a network is traced with: a prime, so that a length that goes by their number shows."""

FEWER_IMAGES = 2
"""The number of images for which the graph must be the same, where their number shows."""


class ReadGraph(fx.GraphModule):
    """A graph that is only read: torch.fx writes no code of it, so that it cannot be called."""

    def recompile(self) -> None:  # type: ignore[override]  # there is no code to give
        pass


def trace(
    model: nn.Module, input_size: int | None = None, kind: type[fx.GraphModule] = fx.GraphModule
) -> fx.GraphModule:
    """``model`` as a graph of a ``kind``, whose nodes have the names of its modules and parameters.

    Raises:
        UnsupportedModel: if it cannot be traced.
    """
    shapes = image_shapes(model, input_size)
    try:
        with unchanged(model):
            network = kind(model, _graph(model, PlainTracer()), type(model).__name__)
            return with_images(network, *shapes)
    except UnsupportedModel:
        pass  # the reason why symbols alone do not do says nothing about the network
    refusals = []
    for shape in shapes:
        try:
            return with_images(_network_for(model, shape, kind), shape)
        except UnsupportedModel as error:
            refusals.append(error)
            if isinstance(error.__cause__, AsksForValues):
                break
    raise refusals[0]


def _network_for(model: nn.Module, shape: Shape, kind: type[fx.GraphModule]) -> fx.GraphModule:
    """The graph of ``model`` for images of ``shape``, and of any other size at which its code takes the same way."""
    tracer, network = _traced_with(model, shape, IMAGES, kind)
    if tracer.may_go_by_images():
        _, other = _traced_with(model, shape, FEWER_IMAGES, ReadGraph)
        if str(other.graph) != str(network.graph):
            raise UnsupportedModel(
                f"torch.fx cannot trace {type(model).__name__}{_tried(shape)}: its code does something else for "
                f"{FEWER_IMAGES} images than for {IMAGES}, so that no one graph stands for it"
            )
    return network


def _traced_with(
    model: nn.Module, shape: Shape, images: int, kind: type[fx.GraphModule]
) -> tuple[ValuedTracer, fx.GraphModule]:
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    tracer = ValuedTracer(torch.empty((images, *shape), dtype=dtype, device="meta"))
    with unchanged(model):
        with symbolic_functions(model):
            graph = _graph(model, tracer, _tried(shape))
        return tracer, kind(model, graph, type(model).__name__)


def _tried(shape: Shape) -> str:
    return f", tried with images of {'×'.join(map(str, shape))}"


def _graph(model: nn.Module, tracer: PlainTracer, tried: str = "") -> fx.Graph:
    """What ``tracer`` makes of ``model``, without its assertions.

    Raises:
        UnsupportedModel: if it stops; the message says how it was ``tried``.
    """
    try:
        graph = tracer.trace(model)
    except Exception as error:  # whatever the network's own code raises when it is given no tensor
        at = f" (at {tracer.failed_at})" if tracer.failed_at else ""
        reason = first_line(error)
        if not isinstance(error, AsksForValues):
            reason = f"{type(error).__name__}: {reason}" + ("; another input_size may serve" if tried else "")
        raise UnsupportedModel(f"torch.fx cannot trace {type(model).__name__}{at}{tried}: {reason}") from error
    for node in reversed(graph.nodes):
        if node.target is torch._assert:  # it checks shapes, and a pair has others
            graph.erase_node(node)
    return graph
