"""Layers between pairs and single tensors that need no arithmetic: they divide, join and pick channels.

They serve where none of the paper's three stages can stand, as in a sum of a pair and a single tensor. At β = 1
each of them changes the order of channels and nothing else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sfic_bench.nn.split import Pair, Size, Split, resize, size_of

CHANNELS = -3
"""The channel axis, counted from the end: of ``[B, C, H, W]`` and of a parameter ``[C, 1, 1]``."""


class Pick(nn.Module):
    """Pick the ``places`` of an axis in that order, by default channels, as a view where they follow one another."""

    places: Tensor | None

    def __init__(self, places: Sequence[int], axis: int = CHANNELS) -> None:
        super().__init__()
        self.order, self.axis = tuple(places), axis
        self.start, self.length = (places[0] if places else 0), len(places)
        is_range = list(places) == list(range(self.start, self.start + self.length))
        self.register_buffer("places", None if is_range else torch.tensor(places), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.places is None:
            return x if self.length == x.shape[self.axis] else x.narrow(self.axis, self.start, self.length)
        return x.index_select(self.axis, self.places)


class Divide(nn.Module):
    """Divide a tensor into a pair whose F is as much smaller than its S as in the pair ``like``.

    A side of 1, as of a gate, stays 1. ``spatial`` and ``frequency`` are the tensor's channels that each branch gets.
    """

    def __init__(self, spatial: Sequence[int], frequency: Sequence[int]) -> None:
        super().__init__()
        self.spatial, self.frequency = Pick(spatial), Pick(frequency)

    def forward(self, x: Tensor, like: Pair) -> Pair:
        return Pair(self.spatial(x), resize(self.frequency(x), size_as_in(like, size_of(x))))


def size_as_in(like: Pair, size: Size) -> Size:
    """The height and width of F beside an S of ``size``, with the scale between the branches of ``like``."""
    # Integers: where torch.jit traces, as fvcore does, sizes are tensors, which Python cannot round.
    height, width, tall, wide, low, narrow = map(int, (*size, *size_of(like.spatial), *size_of(like.frequency)))
    return max(1, round(height * low / tall)), max(1, round(width * narrow / wide))


class Join(nn.Module):
    """Join a pair into a tensor at the size of S; ``order`` has the place of each of its channels in [S; F]."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.pick = Pick(order)

    def forward(self, pair: Pair) -> Tensor:
        s, f = pair
        return self.pick(torch.cat((s, resize(f, size_of(s))), 1))  # type: ignore[no-any-return]


class PickBranches(nn.Module):
    """Pick channels of a pair: the places ``spatial`` of S, which has ``width`` channels, and ``frequency`` of F."""

    def __init__(self, spatial: Sequence[int], frequency: Sequence[int], width: int) -> None:
        super().__init__()
        self.spatial, self.frequency, self.width = Pick(spatial), Pick(frequency), width

    def forward(self, pair: Pair) -> Pair:
        return Pair(self.spatial(pair.spatial), self.frequency(pair.frequency))


class Concatenate(nn.Module):
    """Concatenate pairs with the channels ``splits`` branch by branch; each F is resized to that of the first pair."""

    def __init__(self, splits: Sequence[Split]) -> None:
        super().__init__()
        self.splits = tuple(splits)

    def forward(self, *pairs: Pair) -> Pair:
        size = size_of(pairs[0].frequency)
        return Pair(torch.cat([p.spatial for p in pairs], 1), torch.cat([resize(p.frequency, size) for p in pairs], 1))


class JoinedConcatenate(nn.Module):
    """`Concatenate` on joined tensors ``[S; F]``."""

    def __init__(self, unfused: Concatenate) -> None:
        super().__init__()
        self.splits = unfused.splits

    def forward(self, *tensors: Tensor) -> Tensor:
        parts = [torch.split(x, [n.spatial, n.frequency], 1) for x, n in zip(tensors, self.splits, strict=True)]
        return torch.cat([*(s for s, _ in parts), *(f for _, f in parts)], 1)


class OnSlices(nn.Module):
    """Apply a layer for pairs to a joined tensor ``[S; F]`` whose S has ``width`` channels."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.width = width
        # The layer's children become children of this object, so that state dicts have the same names as without
        # this class; the list keeps the layer itself out of them.
        self._layer = [layer]
        for name, child in layer.named_children():
            self.add_module(name, child)

    def forward(self, x: Tensor) -> Tensor:
        pair = Pair(x[:, : self.width], x[:, self.width :])
        return torch.cat(self._layer[0].forward(pair), 1)
