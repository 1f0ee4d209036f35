"""Stage 2 of a grouped convolution that is neither dense nor depthwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor, nn

from sfic_bench.nn.adapters import Pick
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.split import Pair, Split
from sfic_bench.nn.stages import ConvOptions, Size2, Stage2, StageBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """How a pair's channels fall into the groups of a convolution.

    Attributes:
        inputs, outputs: channels of one group.
        spatial, frequency: places in S and in F of the groups that lie on that branch whole.
        cut: of each group that lies on both branches, its places in S, its places in F, and the split
            of its outputs.
    """

    inputs: int
    outputs: int
    spatial: tuple[int, ...]
    frequency: tuple[int, ...]
    cut: tuple[tuple[tuple[int, ...], tuple[int, ...], Split], ...]

    @property
    def split(self) -> Split:
        """Of the outputs."""
        whole = (len(places) // self.inputs * self.outputs for places in (self.spatial, self.frequency))
        parts = [split for _, _, split in self.cut]
        s, f = whole
        return Split(s + sum(p.spatial for p in parts), f + sum(p.frequency for p in parts))


class GroupedStage2(StageBase):
    """Pairs to a pair, group by group, as a depthwise Stage 2 does channel by channel.

    A group that lies on one branch stays there, convolved as it is; a group that the split cuts is a
    Stage 2 of its own. So it has the vanilla convolution's parameters, and at β = 1 its function. (The
    paper has no grouped convolutions but depthwise ones, to which this comes down for groups of 1.)

    Outputs: S has those of its whole groups and then those of cut groups, F the other way round.
    """

    def __init__(self, members: Groups, kernel_size: Size2, **options: Unpack[ConvOptions]) -> None:
        super().__init__(kernel_size, options)
        bias = options.get("bias", False)
        self.width = len(members.spatial) + sum(len(s) for s, _, _ in members.cut)
        """Channels of S."""
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
            _Cut(s, f, Stage2(Split(len(s), len(f)), split, kernel_size, **inner))
            for s, f, split in members.cut
        )

    def forward(self, pair: Pair) -> Pair:
        s, f = shrunk = self._shrunk_pair(pair, self.pool)
        cut = [part(shrunk) for part in self.cut]
        spatial = self._sum(s, self.geometry.after(s), (self.spatial, self.pick_spatial(s)))
        frequency = self._sum(f, self.geometry.after(f), (self.frequency, self.pick_frequency(f)))
        return Pair(
            _joined([spatial, *(c.spatial for c in cut)]), _joined([*(c.frequency for c in cut), frequency])
        )


class _Cut(nn.Module):
    def __init__(self, spatial: Sequence[int], frequency: Sequence[int], stage: Stage2) -> None:
        super().__init__()
        self.pick_spatial, self.pick_frequency, self.stage = Pick(spatial), Pick(frequency), stage

    def forward(self, pair: Pair) -> Pair:
        picked = Pair(self.pick_spatial(pair.spatial), self.pick_frequency(pair.frequency))
        return self.stage(picked)  # type: ignore[no-any-return]


def _joined(parts: list[Tensor]) -> Tensor:
    kept = [p for p in parts if p.shape[1]] or parts[:1]
    return kept[0] if len(kept) == 1 else torch.cat(kept, 1)
