"""`fuse` makes the same function of fewer and cheaper operations, by one more pass over the graph."""

import copy
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sfic_bench.choices import Kernels
from sfic_bench.convert.blueprint import Blueprint
from sfic_bench.convert.building import Building
from sfic_bench.convert.cheaper import branches_of, cheaper, joins_pairs, with_parameters
from sfic_bench.convert.conv_code import applies_its_parameters
from sfic_bench.convert.following import made_along
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.prototypes import Prototypes
from sfic_bench.convert.weights import copied
from sfic_bench.errors import member
from sfic_bench.kernels import Activation, KernelStage2
from sfic_bench.nn import PerBranch, Stage2, Stage3
from sfic_bench.nn.adapters import Divide
from sfic_bench.nn.fused import Dense, ReducedStage1, ReducedStage2, join_norms


def fuse(
    model: nn.Module,
    for_training: bool = False,
    *,
    share: bool = False,
    input_size: int | None = None,
    kernels: Kernels | str = Kernels.NONE,
) -> fx.GraphModule:
    """An equal and cheaper form of a converted network, or of a vanilla one; see `sfic_bench.nn.fused`.

    Equal means the same results and gradients up to the order of floating-point additions. Where S and F are equally
    large (β = 1), pairs become single tensors and every stage one dense convolution, as in the vanilla network.
    Otherwise the stages compute only what their resizes keep.

    Args:
        model: from `to_sfic`, or a vanilla network; not changed.
        for_training: keep BatchNorms, so that the fused and the unfused network have state dicts of the same names and
            shapes, and either can load the other's. Without it the network is in evaluation mode, each BatchNorm behind
            a convolution is folded into it, and MCSConv's constrained kernels are computed once.
        share: use the modules that stay as they are instead of copies of them, for a network that is only looked at;
            needs ``for_training``, since folding changes modules.
        input_size: see `sfic_bench.convert.graph_of`.
        kernels: with ``"auto"``, each Stage 2 that `sfic_bench.kernels` can compute becomes two calls of its operator,
            which runs as one Triton kernel on a CUDA device, and as convolutions elsewhere (docs/kernels.md).

    Raises:
        ValueError: for ``share`` without ``for_training``.
        UnsupportedModel: if torch.fx cannot trace ``model``.
    """
    if share and not for_training:
        raise ValueError("share needs for_training: folding a BatchNorm would change the shared module")
    choice = member(Kernels, kernels, "value of kernels")
    network = graph_of(model, input_size)
    blueprint = Blueprint.of(network)
    joined = joins_pairs(blueprint.layers.values())
    fused = _Fusion(blueprint, for_training, share, choice, joined).run().built(network)
    return fused if for_training else fused.eval()


def fused_blueprint(blueprint: Blueprint, prototypes: Prototypes, like: fx.Graph | None = None) -> Blueprint:
    """The blueprint of the fused form, with its norms, of a network that is only looked at; see `fuse`.

    ``like`` is as in `sfic_bench.convert.convert`.
    """
    if joins_pairs(blueprint.layers.values()):
        return made_along(like, partial(_joined_blueprint, blueprint, prototypes))
    # Only modules change, so the graph can be the same.
    different = {
        layer: prototypes.made(cheaper, layer, joined=False, share=True) for layer in blueprint.layers.values()
    }
    fused = {path: different[layer] for path, layer in blueprint.layers.items()}
    return replace(blueprint, name=f"Fused{blueprint.name}", modules={**blueprint.modules, **fused})


def _joined_blueprint(blueprint: Blueprint, prototypes: Prototypes, like: fx.Graph | None) -> Blueprint:
    building = Building(prototypes, like)
    fusion = _Fusion(blueprint, for_training=True, share=True, kernels=Kernels.NONE, joined=True, building=building)
    return fusion.run()


class _Fusion:
    """One pass over the graph of a network, which builds the graph of its fused form."""

    def __init__(
        self,
        network: Blueprint,
        for_training: bool,
        share: bool,
        kernels: Kernels,
        joined: bool,
        building: Building | None = None,
    ) -> None:
        self.network, self.for_training, self.share, self.kernels = network, for_training, share, kernels
        self.layers = network.layers
        self.joined = joined
        self.calls = Counter(str(node.target) for node in network.graph.nodes if node.op == "call_module")
        self.building = building or Building()
        self.new: dict[fx.Node, fx.Node] = {}
        self._known: dict[nn.Module, nn.Module] = {}

    def run(self) -> Blueprint:
        for node in self.network.graph.nodes:
            if node not in self.new:
                self.new[node] = self._visit(node)
        return self.building.blueprint(f"Fused{self.network.name}")

    def _visit(self, node: fx.Node) -> fx.Node:
        graph, path = self.building.graph, str(node.target)
        if node.op == "get_attr":
            self.building.modules[path] = copy.deepcopy(self.network.modules[path])
        if node.op != "call_module":
            return graph.node_copy(node, self.new.__getitem__)
        unfused = self.layers[path]
        module = self._known.get(unfused) or self.cheaper(unfused)
        if self.share:
            self._known[unfused] = module
        if isinstance(unfused, Divide) and self.joined:
            self.building.modules[path] = module
            return graph.call_module(path, (self.new[node.all_input_nodes[0]],))
        total = None
        if not self.for_training:  # in training a BatchNorm stands behind the stage
            total = self._summed_in_stage(node, module) or self._activated_in_stage(node, module)
        if total is not None:
            return total
        if isinstance(module, PerBranch) and self.joined:
            on_both = module.spatial
            if not isinstance(on_both, nn.Module):
                args, kwargs = fx.map_arg((node.args, node.kwargs), self.new.__getitem__)
                return graph.call_function(on_both, args, kwargs)
            module = on_both
        norm = self._norm_behind(node)
        is_folded = norm is not None and _fold(module, self.layers[str(norm.target)])
        self.building.modules.setdefault(path, module)
        new = graph.node_copy(node, self.new.__getitem__)
        if norm is not None and is_folded:
            self.new[norm] = new
        return new

    def _summed_in_stage(self, node: fx.Node, module: nn.Module) -> fx.Node | None:
        """A sum of two pairs as part of the Stage 2 that gives one of them, if nothing else reads that pair."""
        is_sum = isinstance(module, PerBranch) and module.spatial in (operator.add, operator.iadd, torch.add)
        if not is_sum or len(node.args) != 2 or node.kwargs:
            return None
        terms = [n for n in node.args if isinstance(n, fx.Node)]
        if len(set(terms)) != 2:  # for twice the same pair, the stage would have to run before itself
            return None
        for term, other in (terms, terms[::-1]):
            call = self.new[term]
            if call.op != "call_module" or len(call.args) != 1 or call.kwargs or len(term.users) != 1:
                continue
            path = str(call.target)
            stage = self.building.modules[path]
            if isinstance(stage, KernelStage2) and stage.activation is not Activation.NONE:
                continue  # the sum would come before the activation
            if isinstance(stage, ReducedStage2) and self.calls[path] == 1:
                total = self.building.call(path, call.args[0], self.new[other])
                self.building.graph.erase_node(call)
                return total
        return None

    def _activated_in_stage(self, node: fx.Node, module: nn.Module) -> fx.Node | None:
        """An activation of a pair as part of the `KernelStage2` that gives the pair, if nothing else reads it."""
        activation = Activation.made_by(module.spatial) if isinstance(module, PerBranch) else None
        if activation is None or module.frequency is not module.spatial:
            return None
        term, call = node.args[0], None
        if isinstance(term, fx.Node) and len(term.users) == 1:
            call = self.new[term]
        if call is None or call.op != "call_module" or self.calls[str(call.target)] != 1:
            return None
        stage = self.building.modules[str(call.target)]
        if not isinstance(stage, KernelStage2) or stage.activation is not Activation.NONE:
            return None
        stage.activation = activation
        return call

    def cheaper(self, unfused: nn.Module) -> nn.Module:
        """The module that stands for ``unfused``."""
        if not self.for_training:
            unfused = with_parameters(unfused)
        module = self.building.made(cheaper, unfused, joined=self.joined, share=self.share, kernels=self.kernels)
        if isinstance(module, ReducedStage1) and not self.for_training:
            module.fix_filter()
        return copied(unfused) if module is unfused and not self.share else module

    def _norm_behind(self, node: fx.Node) -> fx.Node | None:
        """The call of the foldable norm that reads ``node``, if nothing else reads it."""
        user = next(iter(node.users), None)
        if self.for_training or user is None or len(node.users) != 1 or user.op != "call_module":
            return None
        if self.calls[str(user.target)] > 1 or self.calls[str(node.target)] > 1:
            return None
        return user if _is_foldable(self.layers[str(user.target)]) else None


def _is_foldable(norm: nn.Module) -> bool:
    """Whether ``norm`` is BatchNorms with statistics and nothing else: a subclass may have an activation besides."""
    branches = branches_of(norm)
    if any(type(m) not in (nn.BatchNorm2d, nn.Identity) for m in branches):
        return False
    norms = [m for m in branches if isinstance(m, nn.BatchNorm2d)]
    return bool(norms) and all(m.running_mean is not None for m in norms)


def _fold(module: nn.Module, norm: nn.Module) -> bool:
    """Fold ``norm`` into ``module`` if that is a convolution or a stage, and return whether it is."""
    match module:
        case nn.Conv2d() if isinstance(module, Dense) or applies_its_parameters(module):
            _fold_into([module], join_norms(norm) if isinstance(norm, PerBranch) else norm)
        case ReducedStage1() if isinstance(norm, PerBranch):
            _fold_into([module.spatial], norm.spatial)
            _fold_into([module.frequency], norm.frequency)
        case Stage2() if isinstance(norm, PerBranch):
            _fold_into([module.ss, module.fs], norm.spatial)
            _fold_into([module.ff, module.sf], norm.frequency)
        case Stage3():
            _fold_into([module.ss, module.fs], norm)
        case _:
            return False
    return True


def _fold_into(convs: Iterable[nn.Conv2d | None], norm: object) -> None:
    """Fold ``norm`` into the convolutions of a sum: each is scaled, the first takes the bias."""
    if not isinstance(norm, nn.BatchNorm2d):  # the branch has no channels
        return
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    for i, conv in enumerate(conv for conv in convs if conv is not None):
        parameters = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
        conv.weight, conv.bias = parameters[0], None if i else parameters[1]
