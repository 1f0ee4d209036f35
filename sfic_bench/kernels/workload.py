"""What one call of the operator computes, as sizes, and how its kernel may be cut into tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from sfic_bench.nn.split import Size

LARGEST_REPEAT = 4
"""The most neighbouring rows, and the most neighbouring columns, that share one product."""

SHARED_BYTES = 227 * 1024
"""Shared memory that one block of threads can have on an H100 (CUDA C++ Programming Guide, compute capability 9.0)."""

LEAST_ROWS = 64
"""Rows of one matrix instruction (wgmma) of an H100."""

ACCUMULATORS = 64
"""The most accumulators of one thread; with 128 the kernel for sm_90a spills registers."""

MACS_PER_BYTE = 133
"""Multiply-adds that an H100 does in bfloat16 while it reads or writes one byte: 399 TMac/s and 3.0 TB/s."""

TILES = ((64, 64), (128, 32), (128, 64), (128, 128), (256, 32), (256, 64))
"""Pixels and channels of the tiles that are worth timing, by pixels."""

STEPS = ((64, 3), (64, 4), (32, 4))
"""Input channels of one step in 16 bits, and steps in shared memory at once, that are worth timing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TileShape:
    """How much of the result one block of threads computes, and with what.

    Attributes:
        rows: pixels of the result.
        columns: channels of the result.
        depth: input channels that are multiplied at a time.
        warps: groups of 32 threads.
        stages: how many steps of ``depth`` channels are in shared memory at once.
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


class Operands(NamedTuple):
    """The tensors of one call, as `sfic_bench.kernels.interactive_conv` describes them."""

    own: Tensor
    own_weight: Tensor
    other: Tensor
    other_weight: Tensor
    bias: Tensor | None = None
    residual: Tensor | None = None

    @property
    def workload(self) -> "Workload":
        return Workload.of_shapes(
            self.own.shape, self.own_weight.shape, self.other.shape, element_bytes=self.own.element_size()
        )

    def to(self, dtype: torch.dtype) -> "Operands":
        """The same tensors in another number format."""
        return Operands(*(None if x is None else x.to(dtype) for x in self))  # type: ignore[arg-type]

    def empty_result(self) -> Tensor:
        """A tensor for the result ``[B, outputs, H, W]``, channels last."""
        shape = (self.own.shape[0], self.own_weight.shape[0], *self.own.shape[2:])
        return torch.empty(shape, dtype=self.own.dtype, device=self.own.device, memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """The sizes of one call.

    Attributes:
        images: batch size.
        size: height and width of the result, and of the branch that has the same.
        other_size: height and width of the other branch.
        own_channels, other_channels, outputs: channels of the two branches and of the result.
        kernel: height and width of both convolutions' kernels.
        element_bytes: bytes of one number.
    """

    images: int
    size: Size
    other_size: Size
    own_channels: int
    other_channels: int
    outputs: int
    kernel: Size
    element_bytes: int = 4

    @classmethod
    def of_shapes(
        cls, own: Sequence[int], own_weight: Sequence[int], other: Sequence[int], *, element_bytes: int = 4
    ) -> "Workload":
        """The workload of operands with these shapes."""
        return cls(
            images=own[0], size=(own[2], own[3]), other_size=(other[2], other[3]), own_channels=own[1],
            other_channels=other[1], outputs=own_weight[0], kernel=(own_weight[2], own_weight[3]),
            element_bytes=element_bytes,
        )  # fmt: skip

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the result, of the branch of its size and of the other branch."""
        return self.outputs, self.own_channels, self.other_channels

    @property
    def unit(self) -> int:
        """What all channels are multiples of; 8 channels of 16 bits are the most that a thread reads at once."""
        return 8 if all(channels % 8 == 0 for channels in self.channels) else 1

    @property
    def repeat(self) -> Size:
        """How many neighbouring rows and columns of the result take the same pixel of the other convolution.

        More than 1 for an enlargement by a power of two. Then torch's nearest-neighbour resize, which multiplies
        places by the inverse ratio in float32, is exact.
        """
        repeats = []
        for target, source in zip(self.size, self.other_size, strict=True):
            ratio = target // source
            is_power = ratio * source == target and ratio & (ratio - 1) == 0
            repeats.append(min(ratio, LARGEST_REPEAT) if is_power else 1)
        return repeats[0], repeats[1]

    @property
    def other_pixels(self) -> Size:
        """Rows and columns at which the other convolution is computed for one image."""
        return self.size[0] // self.repeat[0], self.size[1] // self.repeat[1]

    @property
    def macs(self) -> int:
        """Multiply-adds of both convolutions; pixels that the tiles' edges compute in vain are not among them."""
        own, other = prod(self.size) * self.own_channels, prod(self.other_pixels) * self.other_channels
        return self.images * self.outputs * prod(self.kernel) * (own + other)

    @property
    def is_cheaper_apart(self) -> bool:
        """Whether the other convolution should run by itself: the kernel would compute its pixels more than once.

        That is where F is enlarged by no power of two, as at β = .75. Apart, its result is written and read once.
        The answer is that for 16 bits in all formats, so that the MACs of a network do not depend on the format.
        """
        pixels, written_and_read = prod(self.other_size), 2 * 2
        repeated_macs = self.other_channels * prod(self.kernel) * (prod(self.other_pixels) - pixels)
        return repeated_macs > MACS_PER_BYTE * written_and_read * pixels

    @property
    def other_elements_skipped(self) -> int:
        """Elements of the other branch that nothing depends on: a resize to a smaller size jumps over them."""
        read = 1
        for source, target, taps in zip(self.other_size, self.size, self.kernel, strict=True):
            centres = {place * source // target for place in range(target)}
            read *= len({c + t for c in centres for t in range(-(taps // 2), taps // 2 + 1)} & set(range(source)))
        return self.images * self.other_channels * (prod(self.other_size) - read)

    def tiles(self) -> Iterator[TileShape]:
        """The tiles that are worth timing on an H100: none spills, and each product has ``LEAST_ROWS`` if it can.

        In float32, which has no matrix instructions, that is the default alone.
        """
        if self.element_bytes > 2:
            yield self.tile
            return
        deepest = max(self.own_channels, self.other_channels)
        for (rows, columns), (depth, stages) in product(TILES, STEPS):
            is_flat = rows < TILES[-1][0] and rows // prod(self.repeat) < LEAST_ROWS
            is_wide = columns > TILES[1][1] and columns >= 2 * self.outputs
            is_deep = depth > STEPS[-1][0] and depth >= 2 * deepest
            if not (is_flat or is_wide or is_deep):
                yield self._tile(rows, columns, depth, stages)

    @property
    def tile(self) -> TileShape:
        """The tile where nothing has been timed: a large product, since it reads each operand less often."""
        rows = 256 if prod(self.repeat) >= LARGEST_REPEAT else 128
        columns = 32 if self.outputs <= 32 else 128 if rows == 128 and self.outputs > 64 else 64
        return self._tile(rows, columns, *STEPS[-1 if max(self.own_channels, self.other_channels) <= 32 else 0])

    def _tile(self, rows: int, columns: int, depth: int, stages: int) -> TileShape:
        warps = 4 if rows * columns <= 32 * 4 * ACCUMULATORS else 8
        # A step has as many bytes in each number format.
        return TileShape(
            rows=rows, columns=columns, depth=depth * 2 // max(2, self.element_bytes), warps=warps, stages=stages
        )
