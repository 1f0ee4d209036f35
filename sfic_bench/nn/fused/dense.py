"""`Dense`: a stage on one tensor that holds both branches, as a single convolution with the block weight."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sfic_bench.nn.naming import Piece, name_as_unfused
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.recompute import Derived
from sfic_bench.nn.split import size_of
from sfic_bench.nn.stages import Stage2, Stage3

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
        super().__init__(
            weight.shape[1] * groups,
            weight.shape[0],
            stage.geometry.kernel,
            padding=stage.geometry.own_padding,
            dilation=stage.geometry.dilation,
            groups=groups,
            device="meta",
            bias=bias is not None,
        )
        is_trained = any(p.requires_grad for p in stage.parameters())
        self.weight = nn.Parameter(weight, requires_grad=is_trained)
        if bias is not None:
            self.bias = nn.Parameter(bias, requires_grad=is_trained)
        pool, self.geometry = stage.pool, stage.geometry
        self.pool = copy.deepcopy(pool.spatial) if isinstance(pool, PerBranch) else None
        name_as_unfused(self, _pieces(rows))

    def forward(self, x: Tensor) -> Tensor:
        derived = Derived.of(x)
        if self.pool is not None:
            derived = derived.then(self.pool).then(partial(self.geometry.fitted, size=size_of(x)))
        return derived.into(super().forward)


def _rows(stage: Stage2 | Stage3) -> Rows:
    names = (("ss", "fs"),) if isinstance(stage, Stage3) else (("ss", "fs"), ("sf", "ff"))
    rows = [[(n, conv) for n in row if isinstance(conv := getattr(stage, n), nn.Conv2d)] for row in names]
    return [row for row in rows if row]


def _block(rows: Rows) -> tuple[Tensor, Tensor | None]:
    """The block weight ``[out, in/groups, k, k]`` and its bias ``[out]``."""
    with torch.no_grad():
        weight = concatenated([concatenated([conv.weight for _, conv in row], 1) for row in rows])
        biases = [conv.bias for row in rows for _, conv in row if conv.bias is not None]
        return weight.detach(), concatenated(biases).detach() if biases else None


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


def concatenated(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`torch.cat`; on the meta device without its kernel, which takes longer than all the rest of fusing."""
    if not tensors[0].is_meta:
        return torch.cat(list(tensors), dim)
    shape = list(tensors[0].shape)
    shape[dim] = sum(t.shape[dim] for t in tensors)
    return tensors[0].new_empty(shape)
