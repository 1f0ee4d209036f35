"""Stages whose weight is not a parameter but is computed, as by weight standardisation or weight normalisation."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from sfic_bench.nn.adapters import Pick


@dataclass(frozen=True, slots=True)
class WeightBlock:
    """The rows (outputs) and columns (inputs of one group) of a vanilla weight; ``None`` for all."""

    rows: Sequence[int] | None
    columns: Sequence[int] | None


def joined_block(rows: Sequence[Sequence[WeightBlock]]) -> WeightBlock:
    """The block that ``rows`` of blocks tile; a row may have no blocks."""
    rows = [row for row in rows if row]
    outputs, inputs = [row[0].rows for row in rows], [block.columns for block in rows[0]]
    return WeightBlock(
        *(None if None in parts else [i for part in parts for i in part or ()] for parts in (outputs, inputs))
    )


class PickBlock(nn.Module):
    """Pick a `WeightBlock` of a weight ``[out, in/groups, kh, kw]``; its ``rows`` pick from a bias ``[out]``."""

    def __init__(self, block: WeightBlock) -> None:
        super().__init__()
        self.block = block
        self.rows = nn.Identity() if block.rows is None else Pick(block.rows, axis=0)
        self.columns = nn.Identity() if block.columns is None else Pick(block.columns, axis=1)

    def forward(self, weight: Tensor) -> Tensor:
        return cast(Tensor, self.columns(self.rows(weight)))


class ComputedWeights(nn.Module):
    """A stage whose convolutions take blocks of one weight, which is computed at each forward pass.

    The whole vanilla weight is computed before it is cut, so that its blocks are those of the vanilla network.

    Args:
        source: gives the vanilla weight ``[out, in/groups, kh, kw]`` and bias (``[out]`` or ``None``), and has the
            parameters that they are computed from.
        stage: a stage, also in a fused form; its convolutions lose their own weights and biases.
        blocks: the block of each convolution, by its name in ``stage``; the empty name is the stage itself.
    """

    def __init__(self, source: nn.Module, stage: nn.Module, blocks: Mapping[str, WeightBlock]) -> None:
        super().__init__()
        self.source, self.stage, self.blocks = source, stage, dict(blocks)
        self.picks = nn.ModuleList(map(PickBlock, self.blocks.values()))
        first = next(source.parameters(), None)
        if first is not None and not first.is_meta:
            self.picks.to(first.device)
        self.biased = tuple(name for name in self.blocks if self._convolution(name).bias is not None)
        for name in self.blocks:
            conv = self._convolution(name)
            # As plain attributes the two can hold what is no parameter.
            del conv.weight, conv.bias
            _give(conv, None, None)

    def forward(self, *inputs: object) -> object:
        weight, bias = self.source()
        convolutions = [self._convolution(name) for name in self.blocks]
        try:
            for name, conv, pick in zip(self.blocks, convolutions, self.picks, strict=True):
                _give(conv, pick(weight), cast(PickBlock, pick).rows(bias) if name in self.biased else None)
            return self.stage(*inputs)
        finally:
            for conv in convolutions:
                _give(conv, None, None)

    def with_parameters(self) -> nn.Module:
        """A copy of the stage whose parameters are the blocks as they are now in evaluation mode."""
        stage = copy.deepcopy(self.stage)
        with torch.no_grad():
            weight, bias = copy.deepcopy(self.source).eval()()
        trained = any(p.requires_grad for p in self.source.parameters())
        for name, pick in zip(self.blocks, self.picks, strict=True):
            rows = cast(PickBlock, pick).rows
            values = pick(weight).clone(), rows(bias).clone() if name in self.biased else None
            _give(
                cast(nn.Conv2d, stage.get_submodule(name)),
                *(None if value is None else nn.Parameter(value, requires_grad=trained) for value in values),
            )
        return stage

    def shell(self) -> nn.Module:
        """A copy of the stage whose parameters have shapes and no values."""
        stage = copy.deepcopy(self.stage)
        for name in self.blocks:
            conv = cast(nn.Conv2d, stage.get_submodule(name))
            shape = (conv.out_channels, conv.in_channels // conv.groups, *conv.kernel_size)
            weight, bias = (nn.Parameter(torch.empty(n, device="meta")) for n in (shape, shape[:1]))
            _give(conv, weight, bias if name in self.biased else None)
        return stage

    def _convolution(self, name: str) -> nn.Conv2d:
        return cast(nn.Conv2d, self.stage.get_submodule(name))


def _give(conv: nn.Conv2d, weight: Tensor | None, bias: Tensor | None) -> None:
    """Let ``conv`` use these tensors from now on."""
    for name, value in (("weight", weight), ("bias", bias)):
        setattr(conv, name, value)


class SpectralWeight(nn.Module):
    """The weight that the hook of `torch.nn.utils.spectral_norm` computes, with the hook's parameter and buffers."""

    def __init__(self, conv: nn.Module, hook: SpectralNorm, training: bool) -> None:
        super().__init__()
        self.hook = hook
        self.register_parameter(f"{hook.name}_orig", conv.get_parameter(f"{hook.name}_orig"))
        for name in (f"{hook.name}_u", f"{hook.name}_v"):
            self.register_buffer(name, conv.get_buffer(name))
        self.train(training)

    def forward(self) -> Tensor:
        return self.hook.compute_weight(self, do_power_iteration=self.training)


def without_gradient(value: object) -> object:
    """``value``, detached if it is a tensor: what a trace makes of a computation without gradients."""
    return value.detach() if isinstance(value, Tensor) else value
