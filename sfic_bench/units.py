"""Counts and ratios as text, and printed counts read back."""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

_FACTOR = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_PRINTED = re.compile(r"(>?)(\d+(?:\.\d+)?)([KMGT]?)")


@dataclass(frozen=True, slots=True)
class PrintedCount:
    """A count as a paper prints it: ``3.08G`` is 3.08 × 10⁹, known to two decimals.

    Attributes:
        text: the printed figure.
        digits: the number in it.
        unit: the unit, or ``""``.
        is_bound: whether the figure is a lower bound, such as ``>20.81M``.
    """

    text: str
    digits: Decimal
    unit: str
    is_bound: bool

    @classmethod
    def parse(cls, text: str) -> "PrintedCount":
        """Read a printed figure.

        Raises:
            ValueError: if ``text`` is not a number with an optional unit.
        """
        match = _PRINTED.fullmatch(text)
        if not match:
            raise ValueError(f"expected a count such as 3.08G, 761M or >20.81M, got {text!r}")
        bound, digits, unit = match.groups()
        return cls(text, Decimal(digits), unit, bool(bound))

    def round_like(self, count: int) -> str:
        """``count`` in this figure's unit and with its number of decimals, as ptflops prints it.

        ptflops rounds the nearest binary fraction, so that it prints 28,525 as 28.52K.
        """
        decimals = len(self.text.rstrip("KMGT").partition(".")[2])
        return f"{count / _FACTOR[self.unit]:.{decimals}f}{self.unit}"

    def agrees_with(self, count: int) -> bool:
        """Whether ``count`` prints as this figure, or lies above it if the figure is a bound."""
        if self.is_bound:
            return Decimal(count) / _FACTOR[self.unit] > self.digits
        return self.round_like(count) == self.text


def printable(text: str) -> str:
    """``text`` on one line and without characters that move a cursor, change colours or hide what is written.

    Such a character, which a file's name or a result file may contain, becomes its escape sequence in Python.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if unicodedata.category(c)[0] not in "CZ" or c == " " else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return " " if character == "\u00a0" else character.encode("unicode_escape").decode("ascii")


def format_count(count: int, unit: str, decimals: int = 2) -> str:
    """``count`` in ``unit``, without the unit: 5,381,066,754 in G is ``5.38``."""
    return f"{count / _FACTOR[unit]:,.{decimals}f}"


def format_ratio(ratio: float | None) -> str:
    """α or β in as few digits as possible; ``""`` for a vanilla network."""
    return "" if ratio is None else f"{ratio:g}"


def format_duration(seconds: float) -> str:
    """``1:02:03`` for hours, minutes and seconds, or ``2:03`` below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
