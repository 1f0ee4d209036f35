"""`fuse`: the same function in fewer and cheaper operations, by one more rewrite of the graph."""

import copy
import operator

import torch
from torch import fx, nn

from sfic_bench.convert.graph import attribute_of, graph_of, take_over_modes
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
            the unfused network's names and shapes, and loads the other's. Without it the network is
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
    def __init__(self, model: fx.GraphModule, for_training: bool, share: bool) -> None:
        self.share = share
        self.old = model
        self.for_training = for_training
        modules = list(model.modules())
        stages1 = [m for m in modules if isinstance(m, Stage1)]
        same_size = all(m.beta == 1 for m in stages1)
        only_s = not any(m.frequency for m in stages1) and not any(
            m.sf or m.ff for m in modules if isinstance(m, Stage2)
        )
        self.joined = same_size or only_s
        self.uses: dict[str, int] = {}
        for node in model.graph.nodes:
            if node.op == "call_module":
                self.uses[str(node.target)] = self.uses.get(str(node.target), 0) + 1
        self.graph = fx.Graph()
        self.new: dict[fx.Node, fx.Node] = {}
        self.modules: dict[str, object] = {}

    def run(self) -> fx.GraphModule:
        for node in self.old.graph.nodes:
            if node not in self.new:
                self.new[node] = self._visit(node)
        fused = fx.GraphModule(self.modules, self.graph, f"Fused{type(self.old).__name__}")
        if not self.for_training:
            return fused.eval()
        take_over_modes(dict(self.old.named_modules()), fused)
        return fused

    def _visit(self, node: fx.Node) -> fx.Node:
        target = str(node.target)
        if node.op == "get_attr":
            self.modules[target] = copy.deepcopy(attribute_of(self.old, target))
        if node.op != "call_module":
            return self.graph.node_copy(node, self.new.__getitem__)
        here = self._cheaper(self.old.get_submodule(target))
        if isinstance(self.old.get_submodule(target), Divide) and self.joined:
            self.modules[target] = here
            return self.graph.call_module(target, (self.new[node.all_input_nodes[0]],))
        if (summed := self._summed_in_stage(node, here)) is not None:
            return summed
        if isinstance(here, PerBranch) and self.joined:
            both = here.spatial
            if not isinstance(both, nn.Module):
                args, kwargs = fx.map_arg((node.args, node.kwargs), self.new.__getitem__)
                return self.graph.call_function(both, args, kwargs)
            here = both
        norm = self._norm_behind(node)
        folded = None if norm is None else _fold(here, self.old.get_submodule(str(norm.target)))
        new = self._call(node, here if folded is None else folded)
        if norm is not None and folded is not None:
            self.new[norm] = new
        return new

    def _summed_in_stage(self, node: fx.Node, module: nn.Module) -> fx.Node | None:
        """A sum of two pairs as part of the Stage 2 that gives one of them, if nothing else reads that one.

        For inference: in training a BatchNorm stands between the two.
        """
        is_sum = isinstance(module, PerBranch) and module.spatial in (operator.add, operator.iadd, torch.add)
        if self.for_training or not is_sum or len(node.args) != 2 or node.kwargs:
            return None
        terms = [n for n in node.args if isinstance(n, fx.Node)]
        # Twice the same pair: the stage would have to run before itself.
        for stage, other in (terms, terms[::-1]) if len(set(terms)) == 2 else ():
            call = self.new[stage]
            if call.op != "call_module" or len(call.args) != 1 or call.kwargs or len(stage.users) != 1:
                continue
            target = str(call.target)
            if isinstance(self.modules[target], ReducedStage2) and self.uses[target] == 1:
                new = self.graph.call_module(target, (call.args[0], self.new[other]))
                self.graph.erase_node(call)
                return new
        return None

    def _cheaper(self, old: nn.Module) -> nn.Module:
        new = cheaper(old, joined=self.joined)
        if isinstance(new, ReducedStage1) and not self.for_training:
            new.fix_filter()
        return copy.deepcopy(old) if new is old and not self.share else new

    def _call(self, node: fx.Node, module: nn.Module) -> fx.Node:
        self.modules.setdefault(str(node.target), module)
        return self.graph.node_copy(node, self.new.__getitem__)

    def _norm_behind(self, node: fx.Node) -> fx.Node | None:
        """The BatchNorm that alone reads ``node``, if it may be folded."""
        users = list(node.users)
        if self.for_training or len(users) != 1 or users[0].op != "call_module":
            return None
        if self.uses[str(users[0].target)] > 1 or self.uses[str(node.target)] > 1:
            return None
        behind = self.old.get_submodule(str(users[0].target))
        is_norm = isinstance(behind, nn.BatchNorm2d) or _has_norm(behind)
        return users[0] if is_norm and _is_plain(behind) else None


def cheaper(layer: nn.Module, *, joined: bool) -> nn.Module:
    """What computes the same as ``layer`` for less, with weights of its own, or ``layer`` itself.

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
    """What stands for ``layer`` where pairs are joined."""
    match layer:
        case PerBranch() if _has_norm(layer):
            return join_norms(layer)
        case PerBranch() if layer.frequency is not layer.spatial:
            return OnSlices(copy.deepcopy(layer), channels_of(layer.spatial))
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
