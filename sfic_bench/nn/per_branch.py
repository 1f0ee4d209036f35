"""Operations other than convolutions run on each branch of a pair by itself."""

import copy
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfic_bench.nn.split import Pair, apply_to, resize, size_of

_POOLS = (nn.MaxPool2d, nn.AvgPool2d)


class PerBranch(nn.Module):
    """Run the module or function ``spatial`` on S, and ``frequency`` on F; by default, one for both branches.

    ``PerBranch(nn.ReLU())`` applies the ReLU to S and to F; ``PerBranch(operator.add)`` takes two pairs
    and adds S to S and F to F. A norm needs two modules, because the branches have channels of their own.
    Arguments that are no pairs go to both branches unchanged. Where several pairs have S of one size and
    F of different sizes, each F is resized to the largest of them.
    """

    def __init__(self, spatial: Callable[..., Tensor], frequency: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        self.spatial = spatial
        self.frequency = spatial if frequency is None else frequency

    def forward(self, *args: object, **options: object) -> Pair:
        if isinstance(self.spatial, _POOLS):
            pair = cast(Pair, args[0])
            return Pair(apply_to(self.spatial, pair.spatial), pooled(self.spatial, pair.frequency))
        args = _aligned(args)
        s, f = [_branch(a, 0) for a in args], [_branch(a, 1) for a in args]
        if isinstance(self.spatial, nn.AdaptiveMaxPool2d):  # takes no tensor without channels, as a branch may be
            return Pair(apply_to(self.spatial, cast(Tensor, s[0])), apply_to(self.spatial, cast(Tensor, f[0])))
        return Pair(self.spatial(*s, **options), self.frequency(*f, **options))


def _aligned(args: tuple[object, ...]) -> tuple[object, ...]:
    """``args`` with the F of all pairs whose S are the largest resized to one size."""
    pairs = [a for a in args if isinstance(a, Pair)]
    if len(pairs) < 2:
        return args
    # A list and not a generator: torch.compile breaks the graph at `max` of a generator.
    full = max([size_of(p.spatial) for p in pairs])
    sizes = [size_of(p.frequency) for p in pairs if size_of(p.spatial) == full]
    if sizes.count(sizes[0]) == len(sizes):
        return args
    largest = max(sizes)
    return tuple(
        Pair(a.spatial, resize(a.frequency, largest)) if isinstance(a, Pair) and size_of(a.spatial) == full else a
        for a in args
    )


def _branch(value: object, which: int) -> object:
    """One branch of an argument that is a pair, or a list of pairs (which `torch.cat` takes); others stay whole."""
    if isinstance(value, Pair):
        return value[which]
    if isinstance(value, list | tuple):
        return type(value)(_branch(v, which) for v in value)
    return value


def pooled(pool: nn.Module, x: Tensor) -> Tensor:
    """``pool(x)`` with a window no larger than ``x``, so that a pool never shrinks F below 1×1."""
    assert isinstance(pool, _POOLS)
    return apply_to(_fitted(pool, x), x)


def _fitted(pool: nn.MaxPool2d | nn.AvgPool2d, x: Tensor) -> Callable[[Tensor], Tensor]:
    kernel, padding, dilation = (
        v if isinstance(v, tuple) else (v, v) for v in (pool.kernel_size, pool.padding, getattr(pool, "dilation", 1))
    )
    room = [(n + 2 * p - 1) // d + 1 for n, p, d in zip(size_of(x), padding, dilation, strict=True)]
    if all(k <= n for k, n in zip(kernel, room, strict=True)):
        return pool
    window = (min(kernel[0], room[0]), min(kernel[1], room[1]))
    if torch.compiler.is_compiling():  # an exporter accepts no module that the network does not hold
        if isinstance(pool, nn.AvgPool2d):
            return lambda t: F.avg_pool2d(t, window, pool.stride, pool.padding, pool.ceil_mode)
        return lambda t: F.max_pool2d(t, window, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
    fitted = copy.copy(pool)
    fitted.kernel_size = window
    return fitted
