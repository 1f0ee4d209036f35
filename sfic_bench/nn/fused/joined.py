"""Stages and norms on one tensor that holds both branches, whose state dicts are those of the unfused layers."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from sfic_bench.initialisation import meta_tensor
from sfic_bench.modules import meta_conv, recast
from sfic_bench.nn.adapters import Pick
from sfic_bench.nn.norms import SharedNorm
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.recompute import Derived
from sfic_bench.nn.split import size_of
from sfic_bench.nn.stages import Stage2, Stage3

Piece = tuple[str, tuple[slice, ...]]
"""The name of a fused layer's tensor, and the part of it that is one tensor of an unfused layer."""

BRANCHES = ("spatial", "frequency")

Rows = list[list[tuple[str, nn.Conv2d]]]
"""The convolutions of a block weight that exist, with their names in the stage."""


class Dense(nn.Conv2d):
    """Stage 2 or 3 on a joined tensor ``[B, c_s + c_f, H, W]``: one convolution with the block weight."""

    def __init__(self, stage: Stage2 | Stage3) -> None:
        rows = _rows(stage)
        weight, bias = _block(rows)
        # A depthwise Stage 2 has one convolution a branch, and its block weight has one input channel a group.
        depthwise = isinstance(stage, Stage2) and stage.depthwise
        groups = sum(conv.groups for row in rows for _, conv in row) if depthwise else 1
        conv = meta_conv(
            weight.shape[1] * groups, weight.shape[0], stage.geometry.kernel, padding=stage.geometry.own_padding,
            dilation=stage.geometry.dilation, groups=groups, bias=bias is not None, dtype=weight.dtype,
        )  # fmt: skip
        parts = [tensor for row in rows for _, part in row for tensor in part._parameters.values()]
        is_trained = any(tensor is not None and tensor.requires_grad for tensor in parts)
        conv.weight = nn.Parameter(weight, requires_grad=is_trained)
        if bias is not None:
            conv.bias = nn.Parameter(bias, requires_grad=is_trained)
        vars(self).update(vars(conv))  # which is all that `nn.Conv2d.__init__` would set
        pool, self.geometry = stage.pool, stage.geometry
        self.pool = copy.deepcopy(pool.spatial) if isinstance(pool, PerBranch) else None
        _name_as_unfused(self, _pieces(rows))

    def forward(self, x: Tensor) -> Tensor:
        derived = Derived.of(x)
        if self.pool is not None:
            derived = derived.then(self.pool).then(partial(self.geometry.fitted, size=size_of(x)))
        return derived.into(super().forward)


def _rows(stage: Stage2 | Stage3) -> Rows:
    rows = [[(n, conv) for n in row if isinstance(conv := getattr(stage, n), nn.Conv2d)] for row in stage.blocks]
    return [row for row in rows if row]


def _block(rows: Rows) -> tuple[Tensor, Tensor | None]:
    """The block weight ``[out, in/groups, k, k]`` and its bias ``[out]``."""
    weight = _concatenated([_concatenated([conv.weight for _, conv in row], 1) for row in rows])
    biases = [conv.bias for row in rows for _, conv in row if conv.bias is not None]
    return weight, _concatenated(biases) if biases else None


def _pieces(rows: Rows) -> dict[str, Piece]:
    """For the weight and bias of each convolution, by name, its part of the block weight or of the bias."""
    pieces: dict[str, Piece] = {}
    top = 0
    for row in rows:
        outputs = slice(top, top + row[0][1].out_channels)
        left = 0
        for name, conv in row:
            width = conv.weight.shape[1]
            pieces[f"{name}.weight"] = ("weight", (outputs, slice(left, left + width)))
            if conv.bias is not None:
                pieces[f"{name}.bias"] = ("bias", (outputs,))
            left += width
        top = outputs.stop
    return pieces


def join_norms(norm: PerBranch) -> _NormBase:
    """One norm for [S; F] from a `PerBranch` of two that take each channel by itself, with the two's state dict."""
    branches = {n: branch for n in BRANCHES if isinstance(branch := getattr(norm, n), _NormBase)}
    tensors, pieces = _joined_tensors(branches)
    width = sum(branch.num_features for branch in branches.values())
    joined = recast(next(iter(branches.values())), tensors, num_features=width)
    _name_as_unfused(joined, pieces)
    return joined


class JoinedNorm(nn.Module):
    """A `SharedNorm` on a joined tensor, for the ``KINDS`` that torch has as one operation."""

    KINDS = ("group", "layer")
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, norm: SharedNorm) -> None:
        super().__init__()
        self.formula, self.behind = norm.formula, norm.behind
        self.weight = self.bias = None
        branches = {n: norm.get_submodule(n) for n, width in zip(BRANCHES, norm.widths, strict=True) if width}
        tensors, pieces = _joined_tensors(branches)
        first = next(iter(branches.values()))
        for name, tensor in tensors.items():
            setattr(self, name, nn.Parameter(tensor, getattr(first, name).requires_grad))
        _name_as_unfused(self, pieces)
        self.vanilla_order = copy.deepcopy(norm.vanilla_order)
        self.order = Pick([*norm.of_spatial.order, *norm.of_frequency.order])
        for name in norm.behind:
            self.add_module(name, copy.deepcopy(norm.get_submodule(name)))

    def forward(self, x: Tensor) -> Tensor:
        eps = self.formula.eps or 0.0
        if self.formula.kind == "layer":
            x = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.weight, self.bias, eps).permute(0, 3, 1, 2)
        else:
            weight, bias = self._in_vanilla_order(self.weight), self._in_vanilla_order(self.bias)
            x = self.order(F.group_norm(self.vanilla_order(x), self.formula.groups, weight, bias, eps))
        for name in self.behind:
            x = getattr(self, name)(x)
        return x

    def _in_vanilla_order(self, parameter: nn.Parameter | None) -> Tensor | None:
        return None if parameter is None else self.vanilla_order(parameter[:, None, None]).flatten()


def _joined_tensors(branches: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, Piece]]:
    """The tensors of ``branches``, one behind another, by name, and where each of the branches' lies in them."""
    first = next(iter(branches.values()))
    joined: dict[str, Tensor] = {}
    pieces: dict[str, Piece] = {}
    for tensor_name, source in (*first._parameters.items(), *first._buffers.items()):
        if source is None:
            continue
        if not source.dim():  # the number of batches, which is the same for both
            pieces |= {f"{name}.{tensor_name}": (tensor_name, ()) for name in branches}
            continue
        start, tensors = 0, []
        for name, branch in branches.items():
            tensor = getattr(branch, tensor_name)
            pieces[f"{name}.{tensor_name}"] = (tensor_name, (slice(start, start + len(tensor)),))
            start += len(tensor)
            tensors.append(tensor)
        joined[tensor_name] = _concatenated(tensors)
    return joined, pieces


def _concatenated(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`torch.cat`, detached; on the meta device without its kernel, which takes longer than all the rest of fusing."""
    if not tensors[0].is_meta:
        return torch.cat([t.detach() for t in tensors], dim)
    shape = list(tensors[0].shape)
    shape[dim] = sum(t.shape[dim] for t in tensors)
    return meta_tensor(tuple(shape), tensors[0].dtype)


def _name_as_unfused(module: nn.Module, pieces: Mapping[str, Piece]) -> None:
    """Let ``module`` write and read state dicts with the names and shapes of the layers that it stands for.

    ``pieces`` say for each name of the unfused layers where its tensor lies in ``module``.
    """
    module.register_state_dict_post_hook(partial(_take_apart, pieces))  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(partial(_put_together, pieces))  # type: ignore[no-untyped-call]


def _take_apart(
    pieces: Mapping[str, Piece], _module: nn.Module, state: dict[str, Tensor], prefix: str, _: object
) -> None:
    sources = {name for name, _ in pieces.values()}
    if not all(prefix + name in state for name in sources):
        return  # its weights are computed
    own = {name: state.pop(prefix + name) for name in sources}
    for name, (source, part) in pieces.items():
        # A copy: saving a view would save all of its base.
        state[prefix + name] = own[source][part].clone() if part else own[source].clone()


def _put_together(
    pieces: Mapping[str, Piece], module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    if not all(prefix + name in state for name in pieces):
        return  # the loader names what is missing
    for source in {source for source, _ in pieces.values()}:
        whole = getattr(module, source).detach().clone()
        for name, (tensor_name, part) in pieces.items():
            if tensor_name == source:
                whole[part or ...] = state.pop(prefix + name)
        state[prefix + source] = whole
