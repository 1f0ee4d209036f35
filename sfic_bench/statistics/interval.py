"""`Interval`, by itself, so that what only shows intervals needs no NumPy."""

from msgspec import Struct


class Interval(Struct, frozen=True, kw_only=True):
    """An estimate with its 95% interval.

    Attributes:
        low, high: the bounds; both ``None`` where there is no interval, as for the AUC of a single image.

    Raises:
        ValueError: if one bound is missing, or the lower one lies above the upper one.
    """

    estimate: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two bounds or none")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the lower bound {self.low} lies above the upper bound {self.high}")

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies between the bounds; always false without bounds."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high

    def is_above(self, value: float) -> bool:
        """Whether the whole interval lies above ``value``; always false without bounds."""
        return self.low is not None and self.low > value
