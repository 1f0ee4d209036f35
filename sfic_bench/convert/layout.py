"""Which channels of a vanilla tensor a pair has, and on which branch."""

from collections.abc import Sequence
from typing import NamedTuple

from sfic_bench.nn import Split

Channels = tuple[int, ...]


class Layout(NamedTuple):
    """The vanilla channel at each place of S and of F.

    A pair holds every channel of the vanilla tensor once, on one branch. A convolution gives S the
    first channels and F the rest; what follows moves them: after a concatenation S has the S of
    both parts. Weights that read or write a pair are picked by these indices, so that at β = 1 the
    pair *is* the vanilla tensor in another order.
    """

    spatial: Channels
    frequency: Channels

    @classmethod
    def of(cls, split: Split) -> "Layout":
        """S has the first channels, F the rest."""
        return cls(tuple(range(split.spatial)), tuple(range(split.spatial, split.total)))

    @classmethod
    def concatenated(cls, parts: Sequence["Layout"]) -> "Layout":
        """The layout of parts one after another: each branch has its channels of all of them."""
        spatial: list[int] = []
        frequency: list[int] = []
        start = 0
        for part in parts:
            spatial += [start + c for c in part.spatial]
            frequency += [start + c for c in part.frequency]
            start += part.total
        return cls(tuple(spatial), tuple(frequency))

    @property
    def split(self) -> Split:
        return Split(len(self.spatial), len(self.frequency))

    @property
    def total(self) -> int:
        return len(self.spatial) + len(self.frequency)

    @property
    def order(self) -> Channels:
        """The vanilla channel at each place of [S; F]."""
        return self.spatial + self.frequency

    @property
    def places(self) -> Channels:
        """The place in [S; F] of each vanilla channel."""
        place = {c: i for i, c in enumerate(self.order)}
        return tuple(place[c] for c in range(self.total))

    def repeated(self, factor: int) -> "Layout":
        """The layout after a depthwise convolution with ``factor`` outputs per input channel."""
        return Layout(*(tuple(c * factor + i for c in branch for i in range(factor)) for branch in self))

    def relabelled(self, order: Sequence[int]) -> "Layout":
        """The layout after the vanilla network has put channel ``order[i]`` at place ``i``; nothing moves."""
        place = {c: i for i, c in enumerate(order)}
        return Layout(*(tuple(place[c] for c in branch) for branch in self))

    def selected(self, channels: range) -> tuple["Layout", Channels, Channels]:
        """The layout of the vanilla ``channels`` alone, and the places in S and in F that hold them."""
        new = {c: i for i, c in enumerate(channels)}
        spatial, frequency = (tuple(i for i, c in enumerate(branch) if c in new) for branch in self)
        layout = Layout(tuple(new[self.spatial[i]] for i in spatial), tuple(new[self.frequency[i]] for i in frequency))
        return layout, spatial, frequency
