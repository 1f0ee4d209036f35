"""`to_sfic`: a vanilla network and a placement become an SFIC network, by one pass over its graph.

The new graph has one node for each old one, with the old names: a convolution's node calls a stage,
a norm's node a norm per branch, and so on. Which of them carry a pair follows from the data flow;
each pair's channel split travels along with it and is never worked out anew.
"""

import copy
import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sfic_bench.convert.placement import Placement, placement_of
from sfic_bench.convert.weights import carry, carry_norm
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nn import McsMode, PerBranch, Split, Stage1, Stage2, Stage3
from sfic_bench.nn.fused import ReducedStage1
from sfic_bench.placing import unfilled

PER_BRANCH_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.Dropout, nn.Dropout2d, nn.Identity),
)
"""Modules without weights that treat every channel by itself."""

PER_BRANCH_FUNCTIONS = (
    *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul),
    *(torch.add, torch.sub, torch.mul, torch.relu, torch.sigmoid, torch.tanh, torch.cat),
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.hardswish, F.hardtanh),
    *(F.sigmoid, F.tanh, F.hardsigmoid, F.dropout, F.dropout2d),
)
"""The same as functions; `torch.cat` along the channels only."""


def graph_of(model: nn.Module) -> fx.GraphModule:
    """``model`` as a graph. One graph serves any number of `to_sfic` calls.

    Raises:
        UnsupportedModel: if torch.fx cannot trace it.
    """
    if isinstance(model, fx.GraphModule):
        return model
    try:
        graph = fx.symbolic_trace(model)
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnsupportedModel(f"torch.fx cannot trace {type(model).__name__}: {error}") from error
    for name, module in graph.named_modules():
        module.training = model.get_submodule(name).training  # tracing leaves containers in training mode
    return graph


def to_sfic(
    model: nn.Module,
    *,
    alpha: float,
    beta: float,
    placement: Placement | None = None,
    mcs: McsMode = "learned",
    share: bool = False,
) -> fx.GraphModule:
    """The SFIC form of a vanilla network, a new module with weights of its own.

    Its block weights are slices of the vanilla ones. A convolution's bias in front of a BatchNorm is
    dropped, as in the paper's networks, and moves into the BatchNorm's running mean.

    Args:
        model: a vanilla network that torch.fx can trace, or its graph from `graph_of`; not changed.
        alpha: share of the frequency channels, in [0, 1].
        beta: height and width of the frequency branch over those of the spatial one, in (0, 1].
        placement: where Stage 1 and Stage 3 go; by default what the paper has for this structure.
        mcs: see `sfic_bench.nn.MCSConv`.
        share: use the modules that stay as they are instead of copies of them, for a network that is
            only looked at.

    Raises:
        ValueError: for a ratio out of range.
        UnsupportedModel: for an operation that cannot run on a pair, named by node and module.
    """
    Split.of(0, alpha)
    _check_beta(beta)
    vanilla = graph_of(model)
    return _Rewrite(vanilla, placement or placement_of(vanilla), alpha, beta, mcs, share).run()


def set_beta(model: nn.Module, beta: float) -> None:
    """Change β of an SFIC network in place.

    β acts in Stage 1 alone, all later sizes follow from what it gives out, and no weight depends on it.
    A fused network whose pairs are joined was made for β = 1 and cannot take another one.

    Raises:
        ValueError: for β outside (0, 1], or a joined network.
    """
    _check_beta(beta)
    modules = list(model.modules())
    if beta != 1 and any(isinstance(m, ReducedStage1) and m.joined for m in modules):
        raise ValueError(f"this network was fused for beta = 1 and cannot take beta = {beta}: fuse it anew")
    for module in modules:
        if isinstance(module, Stage1) or (isinstance(module, ReducedStage1) and not module.joined):
            module.beta = beta


def _check_beta(beta: float) -> None:
    if not 0 < beta <= 1:
        raise ValueError(f"beta must lie in (0, 1], got {beta}")


def take_over_modes(
    old: Mapping[str, nn.Module], module: nn.Module, path: str = "", training: bool = True
) -> None:
    """Set each module's training or evaluation mode: its old namesake's, else its parent's."""
    if path in old:
        training = old[path].training
    if module.training != training:
        module.training = training
    for name, child in module.named_children():
        take_over_modes(old, child, f"{path}.{name}" if path else name, training)


class _Rewrite:
    def __init__(
        self,
        vanilla: fx.GraphModule,
        placement: Placement,
        alpha: float,
        beta: float,
        mcs: McsMode,
        share: bool,
    ) -> None:
        self.share = share
        self.vanilla = vanilla
        self.placement = placement
        self.alpha, self.beta, self.mcs = alpha, beta, mcs
        self.old_modules = dict(vanilla.named_modules())
        self.old_nodes: dict[str, fx.Node] = {
            str(n.target): n for n in vanilla.graph.nodes if n.op == "call_module"
        }
        self.dropped_biases = self._redundant_biases()
        self.graph = fx.Graph()
        self.new: dict[fx.Node, fx.Node] = {}
        self.splits: dict[fx.Node, Split] = {}  # of the old nodes that carry a pair now
        self.modules: dict[str, Any] = {}

    def run(self) -> fx.GraphModule:
        named = (*self.placement.stage1, *self.placement.stage3, *self.placement.reads)
        for name in (*named, *self.placement.reads.values()):
            if not isinstance(self.old_modules.get(name), nn.Conv2d) or name not in self.old_nodes:
                raise UnsupportedModel(f"the placement names {name!r}, which is no Conv2d of this network")
        for node in self.vanilla.graph.nodes:
            self._visit(node)
        sfic = fx.GraphModule(self.modules, self.graph, f"SFIC{type(self.vanilla).__name__}")
        take_over_modes(self.old_modules, sfic)
        return sfic

    def _visit(self, node: fx.Node) -> None:
        args = node.args
        if node.target in self.placement.reads:
            other = self.old_nodes[self.placement.reads[str(node.target)]]
            args = other.args
        inputs = [n for n in _nodes(args, node.kwargs) if n in self.splits]
        if node.op == "output" and inputs:
            raise self._refusal(node, "the result is a pair: no Stage 3 on the way to it")
        if node.op == "call_module":
            target, split = self._module(node, inputs)
        elif inputs:
            target, split = self._function(node, inputs)
        else:
            if node.op == "get_attr":
                self.modules[str(node.target)] = copy.deepcopy(attribute_of(self.vanilla, str(node.target)))
            self.new[node] = self.graph.node_copy(node, self.new.__getitem__)
            return
        self.new[node] = self.graph.call_module(
            target, fx.map_arg(args, self.new.__getitem__), fx.map_arg(node.kwargs, self.new.__getitem__)
        )
        if split is not None:
            self.splits[node] = split

    def _module(self, node: fx.Node, inputs: list[fx.Node]) -> tuple[str, Split | None]:
        """Name of the module that ``node`` calls now, and the split of its result."""
        target = str(node.target)
        old = self.old_modules[target]
        is_stage1, is_stage3 = target in self.placement.stage1, target in self.placement.stage3
        if (is_stage1 and inputs) or (is_stage3 and not inputs):
            came, wanted = ("a pair", "a single tensor") if inputs else ("a single tensor", "a pair")
            raise self._refusal(node, f"Stage {1 if is_stage1 else 3} needs {wanted}, got {came}")
        new: nn.Module
        split: Split | None = None
        if is_stage1 or (inputs and isinstance(old, nn.Conv2d)):
            assert isinstance(old, nn.Conv2d)
            new, split = self._stage(node, old, self.splits[inputs[0]] if inputs else None)
        elif not inputs:
            new = self._single(target, old)
        elif isinstance(old, nn.BatchNorm2d):
            split = self.splits[inputs[0]]
            new = self._norm(target, old, split)
        elif isinstance(old, PER_BRANCH_MODULES):
            split = self.splits[inputs[0]]
            # A copy even where modules are shared: with two parents, counters would count it twice.
            new = PerBranch(copy.deepcopy(old))
            # One module may serve single tensors here and pairs there (a ResNet block's relu).
            target = f"{target}_pair"
        else:
            raise self._refusal(node, f"{type(old).__name__} has no meaning on a pair")
        if target not in self.modules:
            self.modules[target] = new
        return target, split

    def _stage(
        self, node: fx.Node, conv: nn.Conv2d, split: Split | None
    ) -> tuple[Stage1 | Stage2 | Stage3, Split | None]:
        if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise self._refusal(node, f"padding {conv.padding!r} ({conv.padding_mode}) is not supported")
        options: dict[str, Any] = {
            "stride": conv.stride,
            "padding": conv.padding,
            "dilation": conv.dilation,
            "groups": conv.groups,
            "bias": conv.bias is not None and node.target not in self.dropped_biases,
            "device": conv.weight.device,
            "dtype": conv.weight.dtype,
        }
        stage: Stage1 | Stage2 | Stage3
        kernel = conv.kernel_size
        outputs: Split | None = None
        try:
            with unfilled():
                if split is None:
                    outputs = Split.of(conv.out_channels, self.alpha)
                    stage = Stage1(conv.in_channels, outputs, kernel, beta=self.beta, mcs=self.mcs, **options)
                elif node.target in self.placement.stage3:
                    stage = Stage3(split, conv.out_channels, kernel, **options)
                else:
                    outputs = Split.of(conv.out_channels, self.alpha)
                    if conv.groups > 1:  # depthwise: the split passes through
                        outputs = split * (conv.out_channels // conv.in_channels)
                    stage = Stage2(split, outputs, kernel, **options)
        except ValueError as error:
            raise self._refusal(node, str(error)) from error
        if isinstance(stage, Stage1) and stage.mcs is not None and not stage.mcs.weight.is_meta:
            stage.mcs.reset_parameters()  # has no vanilla counterpart
        carry(conv, stage, split, outputs)
        return stage, outputs

    def _norm(self, target: str, old: nn.BatchNorm2d, split: Split) -> PerBranch:
        bias = self.dropped_biases.get(target)
        parts: list[nn.Module] = []
        for channels in (slice(0, split.spatial), slice(split.spatial, split.total)):
            width = channels.stop - channels.start
            if not width:
                parts.append(nn.Identity())
                continue
            with unfilled():
                part = _batch_norm_like(old, width)
            carry_norm(old, part, channels, bias)
            parts.append(part)
        return PerBranch(*parts)

    def _single(self, target: str, old: nn.Module) -> nn.Module:
        """A module that stays as it is, except for a bias that BatchNorm makes redundant."""
        bias = self.dropped_biases.get(target)
        if self.share and bias is None:
            return old
        new = copy.deepcopy(old)
        if bias is not None and isinstance(new, nn.Conv2d):
            new.bias = None
        elif bias is not None and isinstance(old, nn.BatchNorm2d) and isinstance(new, nn.BatchNorm2d):
            carry_norm(old, new, slice(None), bias)
        return new

    def _function(self, node: fx.Node, inputs: list[fx.Node]) -> tuple[str, Split]:
        """A function on pairs becomes a `PerBranch` of its own."""
        if node.op != "call_function" or node.target not in PER_BRANCH_FUNCTIONS:
            raise self._refusal(node, f"{node.op} {node.target} has no meaning on a pair")
        if len(inputs) < len(list(_nodes(node.args, node.kwargs))):
            raise self._refusal(node, "it joins a pair and a single tensor")
        splits = [self.splits[n] for n in inputs]
        if node.target is torch.cat:
            dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            if dim != 1:
                raise self._refusal(node, f"pairs can be concatenated along channels (1), not along {dim}")
            split = Split(sum(s.spatial for s in splits), sum(s.frequency for s in splits))
        else:
            split = splits[0]
            if any(s != split for s in splits):
                raise self._refusal(node, f"its inputs are split differently: {splits}")
        stack = list(node.meta.get("nn_module_stack", {}))
        target = ".".join(filter(None, (stack[-1] if stack else "", node.name)))
        assert callable(node.target)
        self.modules[target] = PerBranch(node.target)
        return target, split

    def _redundant_biases(self) -> dict[str, Tensor]:
        """Biases of convolutions that only a BatchNorm reads, under the names of both."""
        found: dict[str, Tensor] = {}
        for node in self.old_nodes.values():
            conv = self.old_modules[str(node.target)]
            users = list(node.users)
            if not isinstance(conv, nn.Conv2d) or conv.bias is None or len(users) != 1:
                continue
            norm = str(users[0].target)
            if users[0].op == "call_module" and isinstance(self.old_modules[norm], nn.BatchNorm2d):
                found[str(node.target)] = found[norm] = conv.bias
        return found

    def _refusal(self, node: fx.Node, reason: str) -> UnsupportedModel:
        stack = list(node.meta.get("nn_module_stack", {}))
        where = node.target if node.op == "call_module" else stack[-1] if stack else "the network itself"
        return UnsupportedModel(f"node {node.name!r} ({where}) cannot be converted: {reason}")


def _nodes(*arguments: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.map_arg(arguments, found.append)
    return found


def attribute_of(model: nn.Module, path: str) -> Any:
    """What a graph's ``get_attr`` node reads: a parameter, buffer or constant, by qualified name."""
    module, _, name = path.rpartition(".")
    return getattr(model.get_submodule(module), name)


def _batch_norm_like(old: nn.BatchNorm2d, channels: int) -> nn.BatchNorm2d:
    reference = old.running_mean if old.weight is None else old.weight
    return nn.BatchNorm2d(
        channels,
        eps=old.eps,
        momentum=old.momentum,
        affine=old.affine,
        track_running_stats=old.track_running_stats,
        device=None if reference is None else reference.device,
        dtype=None if reference is None else reference.dtype,
    )
