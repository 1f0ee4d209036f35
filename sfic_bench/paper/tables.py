"""The published figures, as printed.

Source: Guo et al., "Constructing New Backbone Networks via Space-Frequency Interactive Convolution for Deepfake
Detection", IEEE TIFS 2024. ``cost.csv`` has the parameters and FLOPs of Tables II, III and V; ``accuracy.csv`` has the
AUC and the balanced accuracy in percent of Tables II to IX.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from sfic_bench.networks.variant import Variant
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
"""Our names of the networks that the paper converts, by the paper's names."""

DETECTORS = {
    "Meso-Incep": "meso-inception",
    "Multi-task": "multi-task",
    "XceptionNet": "xception",
    "F3-Net": "f3net",
    "AMTENnet": "amtennet",
    "M2TR": "m2tr",
}
"""Our names of the detectors that the paper compares with, by the paper's names. They have no SFIC forms."""

NETWORKS = BACKBONES | DETECTORS


def printed_at(backbone: str) -> int:
    """Height and width, pixels, of the input for which the paper prints the cost of ``backbone``."""
    return 299 if backbone == "f3net" else 256


@dataclass(frozen=True, kw_only=True, slots=True)
class PrintedCost:
    """One printed number of parameters or FLOPs."""

    table: str
    model: str
    alpha: float | None
    beta: float | None
    quantity: Quantity
    printed: PrintedCount

    @property
    def variant(self) -> Variant:
        return Variant(backbone=NETWORKS[self.model.removeprefix("SFIC-")], alpha=self.alpha, beta=self.beta)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrintedAccuracy:
    """One printed accuracy in percent; ``variant`` is ``None`` for a detector that the paper quotes and did not run."""

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
        backbone = NETWORKS.get(self.model.removeprefix("SFIC-"))
        return None if backbone is None else Variant(backbone=backbone, alpha=self.alpha, beta=self.beta)


def cost_cells() -> Iterator[PrintedCost]:
    """Every Param and FLOPs cell of Tables II, III and V, in the paper's order."""
    quantities: tuple[Quantity, ...] = ("params", "macs")
    for row in _rows("cost.csv"):
        for quantity in quantities:
            yield PrintedCost(
                table=row["table"], model=row["model"], alpha=_ratio(row["alpha"]), beta=_ratio(row["beta"]),
                quantity=quantity, printed=PrintedCount.parse(row[quantity]),
            )  # fmt: skip


def accuracy_cells() -> Iterator[PrintedAccuracy]:
    """Every AUC and balanced accuracy of Tables II to IX, in the paper's order."""
    for row in _rows("accuracy.csv"):
        yield PrintedAccuracy(
            table=row["table"], model=row["model"], alpha=_ratio(row["alpha"]), beta=_ratio(row["beta"]),
            train_set=row["train_set"], test_set=row["test_set"], percent=float(row["percent"]),
            metric="AUC" if row["metric"] == "AUC" else "BACC",
        )  # fmt: skip


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


def _ratio(text: str) -> float | None:
    return float(text) if text else None
