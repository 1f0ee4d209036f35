"""The published figures as data, as printed.

Source: Guo et al., "Constructing New Backbone Networks via Space-Frequency Interactive Convolution
for Deepfake Detection", IEEE TIFS 2024. ``cost.csv``: parameters and FLOPs of Tables II, III and V.
``accuracy.csv``: AUC and balanced accuracy in percent of Tables II to IX.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from sfic_bench.spec import Variant
from sfic_bench.units import PrintedCount

Quantity = Literal["params", "macs"]

BACKBONES = {
    "MobileNet": "mobilenet",
    "ResNet26": "resnet26",
    "ResNet50": "resnet50",
    "ResNet101": "resnet101",
    "VGGNet13": "vgg13",
    "VGGNet16": "vgg16",
    "VGGNet19": "vgg19",
}
"""The paper's names of its own networks, and ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One printed figure. ``variant`` is ``None`` for a detector of somebody else's."""

    table: str
    model: str
    alpha: float | None
    beta: float | None
    quantity: Quantity
    printed: PrintedCount

    @property
    def variant(self) -> Variant | None:
        backbone = BACKBONES.get(self.model.removeprefix("SFIC-"))
        if backbone is None:
            return None
        return Variant(backbone=backbone, alpha=self.alpha, beta=self.beta)


def cost_cells() -> Iterator[Cell]:
    """Every Param and FLOPs cell of Tables II, III and V, in the paper's order."""
    text = resources.files(__package__).joinpath("cost.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        quantities: tuple[Quantity, ...] = ("params", "macs")
        for quantity in quantities:
            yield Cell(
                table=row["table"],
                model=row["model"],
                alpha=float(row["alpha"]) if row["alpha"] else None,
                beta=float(row["beta"]) if row["beta"] else None,
                quantity=quantity,
                printed=PrintedCount.parse(row[quantity]),
            )
