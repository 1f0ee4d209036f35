"""Stage 2 of a grouped convolution that is neither dense nor depthwise."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from sfic_bench.nn.adapters import PickBranches
from sfic_bench.nn.split import Pair, Split
from sfic_bench.nn.stages import ConvOptions, PerAxis, Stage2, StageBase

Places = Sequence[int]
"""Places of channels in one branch of a pair."""


class GroupedStage2(StageBase):
    """Stage 2 that works group by group, as a depthwise Stage 2 works channel by channel.

    A group that lies on one branch stays there and is convolved as in the vanilla network; a group that the split
    cuts is a Stage 2 of its own. So this stage has the vanilla convolution's parameters, and at β = 1 its function.
    The paper has only depthwise convolutions, whose groups have one channel.

    S holds the outputs of its whole groups and behind them those of cut groups, F the other way round.

    Args:
        group: channels of one group's input and of its output.
        whole: the places in S, and those in F, of all groups that lie on one branch alone.
        cut: for each group that lies on both branches, its places in S, its places in F, and the split of its outputs.
        kernel_size, options: see `ConvOptions`.
    """

    def __init__(
        self,
        group: tuple[int, int],
        whole: tuple[Places, Places],
        cut: Sequence[tuple[Places, Places, Split]],
        kernel_size: PerAxis,
        **options: Unpack[ConvOptions],
    ) -> None:
        super().__init__(kernel_size, options)
        width = len(whole[0]) + sum(len(s) for s, _, _ in cut)
        self.pick = PickBranches(*whole, width)
        counts = [len(places) // group[0] for places in whole]
        self.spatial, self.frequency = (self._conv(n * group[0], n * group[1], n) for n in counts)
        inner = ConvOptions(**options)
        inner["stride"], inner["padding"], inner["groups"] = 1, self.geometry.own_padding, 1
        self.cut = nn.ModuleList()
        for s, f, split in cut:
            stage = Stage2(Split(len(s), len(f)), split, kernel_size, **inner)
            self.cut.append(nn.Sequential(OrderedDict(pick=PickBranches(s, f, width), stage=stage)))

    def forward(self, pair: Pair) -> Pair:
        s, f = shrunk = self._shrunk_pair(pair)
        cut = [part(shrunk) for part in self.cut]
        whole = self.pick(shrunk)
        spatial = self._sum(s, self.geometry.after(s), (self.spatial, whole.spatial))
        frequency = self._sum(f, self.geometry.after(f), (self.frequency, whole.frequency))
        return Pair(_joined([spatial, *(c.spatial for c in cut)]), _joined([*(c.frequency for c in cut), frequency]))


def _joined(parts: list[Tensor]) -> Tensor:
    filled = [p for p in parts if p.shape[1]] or parts[:1]
    return filled[0] if len(filled) == 1 else torch.cat(filled, 1)
