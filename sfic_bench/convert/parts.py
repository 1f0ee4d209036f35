"""Parts of a network's graph: what computes its feature maps, and the head that makes logits of the last one."""

from collections.abc import Collection, Iterator, Sequence

from torch import fx

from sfic_bench.convert.graph import Call
from sfic_bench.convert.rules import rule_for
from sfic_bench.errors import UnsupportedModel
from sfic_bench.modules import modules_by_name


def narrow_places(graph: fx.Graph) -> list[fx.Node]:
    """The nodes through which all goes that comes after them, in order: no later node reads an earlier one.

    Parameters and constants that the graph reads do not count.
    """
    nodes = [node for node in graph.nodes if node.op != "get_attr"]
    number = {node: i for i, node in enumerate(nodes)}
    last_use = {node: max((number[user] for user in node.users), default=number[node]) for node in nodes}
    found, needed_until = [], 0
    for i, node in enumerate(nodes):
        if node.op not in ("placeholder", "output") and needed_until <= i:
            found.append(node)
        needed_until = max(needed_until, last_use[node])
    return found


def last_map(network: fx.GraphModule) -> fx.Node:
    """The map that the network pools for its classifier, or its result if it pools none.

    Raises:
        UnsupportedModel: if other values go around that map.
    """
    modules = modules_by_name(network)
    places = narrow_places(network.graph)
    pooling = [node for node in network.graph.nodes if _pools(Call(node, modules))]
    for node in reversed(pooling):
        source: fx.Node = node.all_input_nodes[0]
        if source in places:
            return source
    if not pooling and places:
        return places[-1]
    raise UnsupportedModel("the network has no map that all its logits are computed from")


def _pools(call: Call) -> bool:
    rule = rule_for(call)
    return rule is not None and rule.pools(call)


def part(network: fx.GraphModule, results: Sequence[fx.Node], start: fx.Node | None = None) -> fx.GraphModule:
    """The part of ``network`` that computes ``results``, which it gives as a list; it has the same modules.

    Args:
        network: a graph, which is not changed.
        results: nodes of that graph.
        start: a node whose value the part takes as its one input, in place of the network's inputs.
    """
    graph = fx.Graph()
    copies = {} if start is None else {start: graph.placeholder("x")}
    for node in _needed(results, copies):
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output([copies[node] for node in results])
    return fx.GraphModule(network, graph, type(network).__name__)


def _needed(results: Sequence[fx.Node], known: Collection[fx.Node]) -> Iterator[fx.Node]:
    """The nodes that ``results`` are computed with, in order, without those that are ``known``."""
    needed, waiting = set[fx.Node](), list(results)
    while waiting:
        node = waiting.pop()
        if node not in known and node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    yield from (node for node in results[0].graph.nodes if node in needed)
