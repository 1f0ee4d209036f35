"""Types of fields that all results share, and how a row is named.

msgspec checks the types when it decodes a file, so that no missing key, NaN or negative time gets past `results.read`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sfic_bench.units import format_ratio

# A name from a file is printed, and control characters could move the terminal's cursor.
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$", max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Size = Annotated[int, Meta(ge=1, le=2**31)]
Positive = Annotated[float, Meta(gt=0)]
Ratio = Annotated[float, Meta(ge=0, le=1)] | None
"""α or β; ``None`` for a vanilla network."""

Value = str | int | float | bool | None
NotFinite = Literal["inf", "-inf", "nan"]
"""JSON has no such numbers, so that a result has their names."""

Key = tuple[str, float | None, float | None, str]
"""Identifies a row of a result: name, α, β, and everything else in words."""


class NetworkRow(Struct, frozen=True, kw_only=True):
    """A row about one network, which is vanilla if it has neither α nor β."""

    backbone: Name
    alpha: Ratio
    beta: Ratio

    @property
    def is_vanilla(self) -> bool:
        return self.alpha is None

    @property
    def network(self) -> str:
        """The network in one line, such as ``resnet50 α=0.5 β=1``."""
        return label((self.backbone, self.alpha, self.beta, ""))


def label(key: Key) -> str:
    """A row's key in one line, such as ``resnet50 α=0.5 β=1 fused``."""
    name, alpha, beta, rest = key
    ratios = (f"{sign}={format_ratio(r)}" for sign, r in (("α", alpha), ("β", beta)) if r is not None)
    return " ".join(part for part in (name, *ratios, rest) if part)


def finite(value: float | None) -> float | NotFinite | None:
    """``value``, or its name if JSON has no such number."""
    if value is None or abs(value) < float("inf"):
        return value
    return "nan" if value != value else "inf" if value > 0 else "-inf"
