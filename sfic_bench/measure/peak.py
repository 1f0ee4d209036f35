"""The highest rates that a machine sustains. This module imports no torch, so that results can hold them."""

from collections.abc import Iterable

from msgspec import Struct


class Peak(Struct, frozen=True, kw_only=True):
    """The highest sustained rates of a large matrix product and of a large copy on one machine."""

    macs_per_s: float
    bytes_per_s: float

    def floor_ms(self, work: Iterable[tuple[int, int]]) -> float:
        """The least milliseconds for operations of ``(MACs, bytes)``, one after another.

        An algorithm that needs fewer multiply-adds (Winograd's for 3×3 convolutions), or a cache that still holds what
        the previous operation has written, can be faster.
        """
        return 1e3 * sum(max(macs / self.macs_per_s, size / self.bytes_per_s) for macs, size in work)
