"""Figures as the text of a table's cells. A cell is empty where there is no figure."""

from collections.abc import Sequence

from sfic_bench.statistics.interval import Interval
from sfic_bench.units import format_count


def number(value: float | None, digits: str = ".2f") -> str:
    """``value`` as `format` writes it with ``digits``."""
    return "" if value is None else f"{value:{digits}}"


def count(value: int | None, unit: str, decimals: int = 2) -> str:
    """``value`` in ``unit``, without the unit, as `sfic_bench.units.format_count` writes it."""
    return "" if value is None else format_count(value, unit, decimals)


def bounds(interval: Interval | None, digits: str = ".2f", *, scale: float = 1, between: str = "–") -> str:
    """The bounds of an interval, such as ``0.98–1.02``."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"{scale * interval.low:{digits}}{between}{scale * interval.high:{digits}}"


def estimate(interval: Interval | None, digits: str = ".2f", *, scale: float = 1) -> str:
    """The estimate to which an interval belongs."""
    return "" if interval is None else f"{scale * interval.estimate:{digits}}"


def size(pixels: int) -> str:
    """Height and width of a square image, such as ``256×256``."""
    return f"{pixels}×{pixels}"


def shape(sizes: Sequence[int]) -> str:
    """A tensor's shape without its batch, such as ``3×256×256``."""
    return "×".join(map(str, sizes[1:]))


def ratio(value: float | None, base: float | None) -> float | None:
    """``value`` over ``base``; ``None`` where one is missing or the base is 0."""
    return None if value is None or not base else value / base
