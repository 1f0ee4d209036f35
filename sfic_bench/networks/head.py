"""Which layer of a network gives the logits; it is found in the network's graph, not by its name."""

from torch import fx, nn

from sfic_bench.convert import graph_of
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn.computed import ComputedWeights
from sfic_bench.nn.stages import StageBase


def head_modules(network: nn.Module) -> tuple[str, ...]:
    """Names of the layers that give the logits: the last linear layer or 1×1 convolution, or several in parallel.

    They are the first layers with parameters that are met on the way back from the result. Of a network that torch.fx
    cannot trace it is the layer with parameters that was made last. Empty if that layer is of another kind, as in
    ``multi-task``, which has no classifier.
    """
    modules = dict(network.named_modules())
    try:
        graph = graph_of(network)
    except UnsupportedModel:
        names = [name for name, module in modules.items() if next(module.parameters(recurse=False), None) is not None]
        found: tuple[str, ...] = tuple(names[-1:])
    else:
        found = _last_with_parameters(graph)
    return found if all(_gives_logits(modules.get(name)) for name in found) else ()


def head_parameters(network: nn.Module) -> frozenset[str]:
    """Names of the parameters of the layer that gives the logits, see `head_modules`; all else is the backbone.

    ``network`` may be vanilla, SFIC, fused for training, or a detector.

    Raises:
        UnsupportedModel: for a network without such a layer.
    """
    if not (heads := head_modules(network)):
        raise UnsupportedModel(
            f"{type(network).__name__} has no linear layer or 1×1 convolution that gives its logits, so that there is "
            "no backbone to freeze: leave --freeze out"
        )
    return frozenset(name for name, _ in network.named_parameters() if _belongs(name, heads))


def head_tensors(network: nn.Module) -> list[list[str]]:
    """Names of all tensors in the state dict of each of the `head_modules`."""
    names = list(network.state_dict())
    return [[name for name in names if _belongs(name, (head,))] for head in head_modules(network)]


def _belongs(name: str, heads: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{head}.") for head in heads)


def _gives_logits(module: nn.Module | None) -> bool:
    if isinstance(module, nn.Conv2d):
        return tuple(module.kernel_size) == (1, 1)
    return isinstance(module, nn.Linear | StageBase | ComputedWeights)


def _last_with_parameters(network: fx.GraphModule) -> tuple[str, ...]:
    """The modules with parameters that lie next to the network's result; the empty name is the network itself."""
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters(remove_duplicate=False))
    (output,) = (node for node in network.graph.nodes if node.op == "output")
    waiting, seen, found = [output], set[fx.Node](), dict[str, None]()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        module = modules[str(node.target)] if node.op == "call_module" else None
        # A subclass of Linear with a forward pass of its own is traced as a function of its tensors.
        tensors = [str(other.target) for other in node.all_input_nodes if str(other.target) in parameters]
        if module is not None and next(module.parameters(), None) is not None:
            found[str(node.target)] = None
        elif tensors:
            found |= dict.fromkeys(tensor.rpartition(".")[0] for tensor in tensors)
        else:
            waiting += node.all_input_nodes
    return tuple(found)
