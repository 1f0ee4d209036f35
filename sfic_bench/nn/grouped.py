"""Stage 2 of a grouped convolution that is neither dense nor depthwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor, nn

from sfic_bench.nn.adapters import Pick
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.split import Pair, Split
from sfic_bench.nn.stages import ConvOptions, IntOrPair, Stage2, StageBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """How a pair's channels belong to the groups of a convolution.

    Attributes:
        inputs, outputs: channels of one group.
        spatial, frequency: the places in S and in F of all groups that lie on one branch alone.
        cut: for each group that lies on both branches, its places in S, its places in F, and the split
            of its outputs.
    """

    inputs: int
    outputs: int
    spatial: tuple[int, ...]
    frequency: tuple[int, ...]
    cut: tuple[tuple[tuple[int, ...], tuple[int, ...], Split], ...]

    @property
    def split(self) -> Split:
        """The split of all outputs."""
        s, f = (len(places) // self.inputs * self.outputs for places in (self.spatial, self.frequency))
        parts = [split for _, _, split in self.cut]
        return Split(s + sum(p.spatial for p in parts), f + sum(p.frequency for p in parts))


class GroupedStage2(StageBase):
    """A pair to a pair, group by group, as a depthwise Stage 2 works channel by channel.

    A group that lies on one branch stays there and is convolved as in the vanilla network; a group that the split
    cuts is a Stage 2 of its own. So this stage has the vanilla convolution's parameters, and at β = 1 its function.
    The paper has depthwise convolutions alone, which are groups of one channel.

    S holds the outputs of its whole groups and behind them those of cut groups, F the other way round.
    """

    def __init__(self, members: Groups, kernel_size: IntOrPair, **options: Unpack[ConvOptions]) -> None:
        super().__init__(kernel_size, options)
        bias = options.get("bias", False)
        self.width = len(members.spatial) + sum(len(s) for s, _, _ in members.cut)
        """Channels of S in the input."""
        pool = self._pool()
        self.pool = None if pool is None else PerBranch(pool)
        self.pick_spatial, self.pick_frequency = Pick(members.spatial), Pick(members.frequency)
        self.spatial, self.frequency = (
            self._conv(n, n // members.inputs * members.outputs, n // members.inputs, bias)
            for n in (len(members.spatial), len(members.frequency))
        )
        inner = ConvOptions(**options)
        inner["stride"], inner["padding"], inner["groups"] = 1, self.geometry.own_padding, 1
        self.cut = nn.ModuleList(
            _Cut(s, f, Stage2(Split(len(s), len(f)), split, kernel_size, **inner)) for s, f, split in members.cut
        )

    def forward(self, pair: Pair) -> Pair:
        s, f = shrunk = self._shrunk_pair(pair, self.pool)
        cut = [part(shrunk) for part in self.cut]
        spatial = self._sum(s, self.geometry.after(s), (self.spatial, self.pick_spatial(s)))
        frequency = self._sum(f, self.geometry.after(f), (self.frequency, self.pick_frequency(f)))
        return Pair(_joined([spatial, *(c.spatial for c in cut)]), _joined([*(c.frequency for c in cut), frequency]))


class _Cut(nn.Module):
    """One group that lies on both branches."""

    def __init__(self, spatial: Sequence[int], frequency: Sequence[int], stage: Stage2) -> None:
        super().__init__()
        self.pick_spatial, self.pick_frequency, self.stage = Pick(spatial), Pick(frequency), stage

    def forward(self, pair: Pair) -> Pair:
        picked = Pair(self.pick_spatial(pair.spatial), self.pick_frequency(pair.frequency))
        return self.stage(picked)  # type: ignore[no-any-return]


def _joined(parts: list[Tensor]) -> Tensor:
    filled = [p for p in parts if p.shape[1]] or parts[:1]
    return filled[0] if len(filled) == 1 else torch.cat(filled, 1)
