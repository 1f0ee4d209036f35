"""How a network is trained."""

from dataclasses import dataclass

from sfic_bench.errors import InvalidValue, UnknownName

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""By our name, what Lightning Fabric calls it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Training as the paper does it, unless something else is given.

    Source: Guo et al. 2024, Section IV-A: Adam (0.9, 0.999), 1e-4 halved after each epoch, 20 epochs, batches of 64, seed 7,
    horizontal flips, rotation (±10° in the released code), perspective, ImageNet normalisation, faces at 256×256. The
    strength of the perspective is not printed; here corners move by up to `perspective` of half the image.

    Attributes:
        batch_size: images a step, over all devices together.
        learning_rate: of the first epoch; each later one has ``decay`` times the one before.
        input_size: height and width, pixels.
        flip: probability of a horizontal flip.
        rotation: degrees, at most, either way.
        perspective: 0 leaves it out.
        fused: train the fused form, which computes the same for less.

    Raises:
        InvalidValue: for a value out of range.
        UnknownName: for another precision.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-4
    decay: float = 0.5
    seed: int = 7
    input_size: int = 256
    precision: str = "fp32"
    flip: float = 0.5
    rotation: float = 10.0
    perspective: float = 0.2
    fused: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "input_size"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < 10:
            raise InvalidValue(f"learning rate must lie in (0, 10), got {self.learning_rate}")
        if not 0 < self.decay <= 1:
            raise InvalidValue(f"decay must lie in (0, 1], got {self.decay}")
        if not 0 <= self.seed < 2**32:
            raise InvalidValue(f"seed must lie in [0, 2³²), got {self.seed}")
        for name, most in (("flip", 1), ("perspective", 1), ("rotation", 180)):
            if not 0 <= getattr(self, name) <= most:
                raise InvalidValue(f"{name} must lie in [0, {most}], got {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, PRECISIONS)
