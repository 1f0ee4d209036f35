"""Which channels of a vanilla tensor a pair has, and on which branch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

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
        """Of parts one after another: each branch has its channels of all of them."""
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
        """After a depthwise convolution with ``factor`` outputs per input channel."""
        return Layout(*(tuple(c * factor + i for c in b for i in range(factor)) for b in self))

    def relabelled(self, order: Sequence[int]) -> "Layout":
        """After the vanilla network has put channel ``order[i]`` at place ``i``; nothing moves."""
        place = {c: i for i, c in enumerate(order)}
        return Layout(*(tuple(place[c] for c in b) for b in self))

    def selected(self, wanted: range) -> tuple["Layout", Channels, Channels]:
        """The vanilla channels in ``wanted``, and the places in S and in F that hold them."""
        place = {c: i for i, c in enumerate(wanted)}
        held = [tuple(i for i, c in enumerate(b) if c in place) for b in self]
        parts = (tuple(place[b[i]] for i in at) for b, at in zip(self, held, strict=True))
        return Layout(*parts), held[0], held[1]


def index(channels: Sequence[int]) -> slice | list[int]:
    """The same channels as a slice where they follow one another, which copies nothing."""
    start = channels[0] if channels else 0
    if list(channels) == list(range(start, start + len(channels))):
        return slice(start, start + len(channels))
    return list(channels)


def picked(x: Tensor, channels: Sequence[int], dim: int = 0) -> Tensor:
    """``channels`` of ``x`` along ``dim``; a view where that is possible."""
    at = index(channels)
    if isinstance(at, slice):
        return x.narrow(dim, at.start, at.stop - at.start)
    return x.index_select(dim, torch.tensor(at, device=x.device))
