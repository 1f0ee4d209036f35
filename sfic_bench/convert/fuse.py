"""`fuse` makes the same function of fewer and cheaper operations, by one more pass over the graph."""

import copy
import operator
from collections import Counter

import torch
from torch import fx, nn

from sfic_bench.convert.building import Building
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.weights import channels_of
from sfic_bench.nn import PerBranch, Stage1, Stage2, Stage3
from sfic_bench.nn.adapters import Concatenate, Divide, Join, JoinedConcatenate, OnSlices, Pick, PickBranches
from sfic_bench.nn.fused import Dense, ReducedStage1, ReducedStage2, fold, join_norms
from sfic_bench.nn.grouped import GroupedStage2


def fuse(model: nn.Module, for_training: bool = False, *, share: bool = False) -> fx.GraphModule:
    """An equal and cheaper form of a converted network, or of a vanilla one.

    Equal means the same results and gradients up to the order of floating-point additions. Where S
    and F are equally large (β = 1), pairs become single tensors and every stage one dense
    convolution, as in the vanilla network. Otherwise the stages compute only what their resizes keep. See `sfic_bench.nn.fused`.

    Args:
        model: from `to_sfic`, or a vanilla network; not changed.
        for_training: keep BatchNorms, and with them the way back: the fused network's state dict has
            the names and shapes of the unfused network's, so that either can load the other's. Without it the network is
            in evaluation mode, each BatchNorm behind a convolution is folded into it, and MCSConv's
            constrained kernels are computed once.
        share: use the modules that stay as they are instead of copies of them. For a network that is
            only looked at; needs ``for_training``, since folding changes modules.

    Raises:
        ValueError: for ``share`` without ``for_training``.
        UnsupportedModel: if torch.fx cannot trace ``model``.
    """
    if share and not for_training:
        raise ValueError("share needs for_training: folding a BatchNorm would change the shared module")
    return _Fusion(graph_of(model), for_training, share).run()


class _Fusion:
    """One pass over the graph of a network, which builds the graph of its fused form."""

    def __init__(self, network: fx.GraphModule, for_training: bool, share: bool) -> None:
        self.network, self.for_training, self.share = network, for_training, share
        self.joined = _joins_pairs(network)
        self.calls = Counter(str(node.target) for node in network.graph.nodes if node.op == "call_module")
        self.building = Building()
        self.new: dict[fx.Node, fx.Node] = {}

    def run(self) -> fx.GraphModule:
        for node in self.network.graph.nodes:
            if node not in self.new:
                self.new[node] = self._visit(node)
        fused = self.building.network(f"Fused{type(self.network).__name__}", self.network)
        return fused if self.for_training else fused.eval()

    def _visit(self, node: fx.Node) -> fx.Node:
        graph, path = self.building.graph, str(node.target)
        if node.op == "get_attr":
            self.building.read_attribute(node, self.network)
        if node.op != "call_module":
            return graph.node_copy(node, self.new.__getitem__)
        drawn = self.network.get_submodule(path)
        module = self._cheaper(drawn)
        if isinstance(drawn, Divide) and self.joined:
            self.building.modules[path] = module
            return graph.call_module(path, (self.new[node.all_input_nodes[0]],))
        if (total := self._summed_in_stage(node, module)) is not None:
            return total
        if isinstance(module, PerBranch) and self.joined:
            on_both = module.spatial
            if not isinstance(on_both, nn.Module):
                args, kwargs = fx.map_arg((node.args, node.kwargs), self.new.__getitem__)
                return graph.call_function(on_both, args, kwargs)
            module = on_both
        norm = self._norm_behind(node)
        folded = None if norm is None else _fold(module, self.network.get_submodule(str(norm.target)))
        self.building.modules.setdefault(path, module if folded is None else folded)
        new = graph.node_copy(node, self.new.__getitem__)
        if norm is not None and folded is not None:
            self.new[norm] = new
        return new

    def _summed_in_stage(self, node: fx.Node, module: nn.Module) -> fx.Node | None:
        """A sum of two pairs as part of the Stage 2 that gives one of them, if nothing else reads that pair.

        For inference: in training a BatchNorm stands between the two.
        """
        is_sum = isinstance(module, PerBranch) and module.spatial in (operator.add, operator.iadd, torch.add)
        if self.for_training or not is_sum or len(node.args) != 2 or node.kwargs:
            return None
        terms = [n for n in node.args if isinstance(n, fx.Node)]
        # Twice the same pair: the stage would have to run before itself.
        for term, other in (terms, terms[::-1]) if len(set(terms)) == 2 else ():
            call = self.new[term]
            if call.op != "call_module" or len(call.args) != 1 or call.kwargs or len(term.users) != 1:
                continue
            path = str(call.target)
            if isinstance(self.building.modules[path], ReducedStage2) and self.calls[path] == 1:
                total = self.building.call(path, call.args[0], self.new[other])
                self.building.graph.erase_node(call)
                return total
        return None

    def _cheaper(self, drawn: nn.Module) -> nn.Module:
        module = cheaper(drawn, joined=self.joined)
        if isinstance(module, ReducedStage1) and not self.for_training:
            module.fix_filter()
        return copy.deepcopy(drawn) if module is drawn and not self.share else module

    def _norm_behind(self, node: fx.Node) -> fx.Node | None:
        """The BatchNorm that is alone in reading ``node``, if it may be folded."""
        users = list(node.users)
        if self.for_training or len(users) != 1 or users[0].op != "call_module":
            return None
        if self.calls[str(users[0].target)] > 1 or self.calls[str(node.target)] > 1:
            return None
        norm = self.network.get_submodule(str(users[0].target))
        is_norm = isinstance(norm, nn.BatchNorm2d) or _has_norm(norm)
        return users[0] if is_norm and _is_plain(norm) else None


def _joins_pairs(network: nn.Module) -> bool:
    """Whether every pair may be one tensor [S; F]: both branches are equally large, or there is no F."""
    modules = list(network.modules())
    first = [m for m in modules if isinstance(m, Stage1)]
    has_frequency = any(m.frequency for m in first) or any(m.sf or m.ff for m in modules if isinstance(m, Stage2))
    return all(m.beta == 1 for m in first) or not has_frequency


def cheaper(layer: nn.Module, *, joined: bool) -> nn.Module:
    """A module that computes the same as ``layer`` for less, with weights of its own, or ``layer`` itself.

    Args:
        layer: a stage, or anything else.
        joined: S and F are one tensor ``[S; F]`` wherever a pair would be; needs β = 1, or no F.
    """
    if isinstance(layer, Stage2 | Stage3) and joined:
        return Dense(layer)
    if isinstance(layer, Stage1):
        return ReducedStage1(layer, joined)
    if isinstance(layer, Stage2) and layer.sf is not None:
        return ReducedStage2(layer)
    if joined:
        return _on_joined(layer)
    return layer


def _on_joined(layer: nn.Module) -> nn.Module:
    """The module that stands for ``layer`` where pairs are joined, or ``layer`` itself."""
    match layer:
        case PerBranch() if _has_norm(layer):
            return join_norms(layer)
        case PerBranch() if layer.frequency is not layer.spatial:
            return OnSlices(copy.deepcopy(layer), channels_of(layer.spatial))
        case Divide() if layer.spatial.order == layer.frequency.order:
            return copy.deepcopy(layer.spatial)  # one channel that is for all, such as a gate over places
        case Divide():
            return Pick([*layer.spatial.order, *layer.frequency.order])
        case Join():
            return copy.deepcopy(layer.pick)
        case PickBranches():
            return Pick([*layer.spatial.order, *(layer.width + i for i in layer.frequency.order)])
        case Concatenate():
            return JoinedConcatenate(layer)
        case GroupedStage2():
            return OnSlices(copy.deepcopy(layer), layer.width)
    return layer


def _has_norm(module: nn.Module) -> bool:
    return isinstance(module, PerBranch) and any(
        isinstance(m, nn.BatchNorm2d) for m in (module.spatial, module.frequency)
    )


def _is_plain(module: nn.Module) -> bool:
    """Whether ``module`` is BatchNorms and nothing else: a subclass may have an activation besides."""
    parts = (module.spatial, module.frequency) if isinstance(module, PerBranch) else (module,)
    return all(type(m) in (nn.BatchNorm2d, nn.Identity) for m in parts)


def _fold(module: nn.Module, norm: nn.Module) -> nn.Module | None:
    """``module`` with ``norm`` folded in, or ``None`` where it must stay."""
    norms = [m for m in norm.modules() if isinstance(m, nn.BatchNorm2d)]
    if any(n.running_mean is None for n in norms):
        return None
    if isinstance(module, nn.Conv2d):
        joined = join_norms(norm) if isinstance(norm, PerBranch) else norm
        assert isinstance(joined, nn.BatchNorm2d)
        module.weight, module.bias = fold(module.weight, module.bias, joined)
        return module
    if isinstance(module, ReducedStage1) and isinstance(norm, PerBranch):
        module.fold(norm)
        return module
    if isinstance(module, Stage3):
        _fold_into_sum(module, ("ss", "fs"), norm)
        return module
    if isinstance(module, Stage2) and isinstance(norm, PerBranch):
        _fold_into_sum(module, ("ss", "fs"), norm.spatial)
        _fold_into_sum(module, ("ff", "sf"), norm.frequency)
        return module
    return None


def _fold_into_sum(stage: nn.Module, names: tuple[str, str], norm: object) -> None:
    """Fold ``norm`` into both convolutions of a sum: each is scaled, the first takes the bias."""
    if not isinstance(norm, nn.BatchNorm2d):  # the branch has no channels
        return
    is_first = True
    for name in names:
        conv = getattr(stage, name)
        if conv is not None:
            weight, bias = fold(conv.weight, conv.bias, norm)
            conv.weight, conv.bias = weight, bias if is_first else None
            is_first = False
