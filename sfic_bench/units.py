"""Counts as people print them, and back. Nothing else rounds."""

import re
from dataclasses import dataclass
from decimal import Decimal

_FACTOR = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_PRINTED = re.compile(r"(>?)(\d+(?:\.\d+)?)([KMGT]?)")


@dataclass(frozen=True, slots=True)
class PrintedCount:
    """A count as a paper prints it: ``3.08G`` is 3.08 × 10⁹, known to two decimals.

    ``>20.81M`` is a lower bound. ``text`` is what was printed.
    """

    text: str
    digits: Decimal
    unit: str
    is_bound: bool

    @classmethod
    def parse(cls, text: str) -> "PrintedCount":
        """Raises ``ValueError`` for anything that is not a number with an optional unit."""
        found = _PRINTED.fullmatch(text)
        if not found:
            raise ValueError(f"expected a count such as 3.08G, 761M or >20.81M, got {text!r}")
        bound, digits, unit = found.groups()
        return cls(text, Decimal(digits), unit, bool(bound))

    def round_like(self, count: int) -> str:
        """``count`` in this figure's unit and number of decimals, as ptflops prints it.

        That rounds the nearest binary fraction, so that 28,525 is 28.52K.
        """
        decimals = len(self.text.rstrip("KMGT").partition(".")[2])
        return f"{count / _FACTOR[self.unit]:.{decimals}f}{self.unit}"

    def agrees_with(self, count: int) -> bool:
        """Whether ``count``, rounded as this figure is, prints the same (or lies above a bound)."""
        if self.is_bound:
            return Decimal(count) / _FACTOR[self.unit] > self.digits
        return self.round_like(count) == self.text


def format_count(count: int, unit: str, decimals: int = 2) -> str:
    """``format_count(5381066754, "G")`` is ``"5.38"``: the number alone, for a column whose head has the unit."""
    return f"{count / _FACTOR[unit]:,.{decimals}f}"


def format_layout(channels_last: bool) -> str:
    """How tensors are stored, in words."""
    return "channels last" if channels_last else "contiguous"


def format_ratio(ratio: float | None) -> str:
    """α or β as short as it goes; nothing for a vanilla network."""
    return "" if ratio is None else f"{ratio:g}"
