"""How pixels become a network's input; no torch is imported, since runs record it."""

import math
from dataclasses import dataclass

from sfic_bench.errors import InvalidValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalisation:
    """What is taken from pixels in [0, 1], and what they are then divided by, for red, green and blue.

    Raises:
        InvalidValue: for other than three numbers each, or a divisor that is not above 0.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise InvalidValue(f"{name} of the pixels must be three numbers, got {values}")
        if min(self.std) <= 0:
            raise InvalidValue(f"std of the pixels must be above 0, got {self.std}")


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels, which most published weights expect."""

HALF = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Pixels in [−1, 1], which weights that came from TensorFlow mostly expect."""
