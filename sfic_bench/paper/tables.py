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
        return _variant(self.model, self.alpha, self.beta)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyCell:
    """One printed accuracy, in percent. ``variant`` is ``None`` for a detector of somebody else's."""

    table: str
    model: str
    alpha: float | None
    beta: float | None
    train_set: str
    test_set: str
    metric: Literal["AUC", "BACC"]
    percent: float

    @property
    def variant(self) -> Variant | None:
        return _variant(self.model, self.alpha, self.beta)


def _variant(model: str, alpha: float | None, beta: float | None) -> Variant | None:
    backbone = BACKBONES.get(model.removeprefix("SFIC-"))
    return None if backbone is None else Variant(backbone=backbone, alpha=alpha, beta=beta)


def cost_cells() -> Iterator[Cell]:
    """Every Param and FLOPs cell of Tables II, III and V, in the paper's order."""
    for row in _rows("cost.csv"):
        quantities: tuple[Quantity, ...] = ("params", "macs")
        for quantity in quantities:
            yield Cell(
                table=row["table"],
                model=row["model"],
                alpha=_ratio(row["alpha"]),
                beta=_ratio(row["beta"]),
                quantity=quantity,
                printed=PrintedCount.parse(row[quantity]),
            )


def accuracy_cells() -> Iterator[AccuracyCell]:
    """Every AUC and balanced accuracy of Tables II to IX, in the paper's order."""
    for row in _rows("accuracy.csv"):
        metric: Literal["AUC", "BACC"] = "AUC" if row["metric"] == "AUC" else "BACC"
        yield AccuracyCell(
            table=row["table"],
            model=row["model"],
            alpha=_ratio(row["alpha"]),
            beta=_ratio(row["beta"]),
            train_set=row["train_set"],
            test_set=row["test_set"],
            metric=metric,
            percent=float(row["percent"]),
        )


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())


def _ratio(text: str) -> float | None:
    return float(text) if text else None
