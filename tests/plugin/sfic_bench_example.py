"""A plug-in in fifty lines: one thing of each kind; its entry points are in the folder beside it."""

from pathlib import Path

import pandas as pd
from lightning_fabric.loggers.logger import Logger
from msgspec import json
from torch import nn

from sfic_bench.counting import Convention
from sfic_bench.data.corruptions import Corruption
from sfic_bench.data.importers import Importer
from sfic_bench.measure.paths import EXECUTION_PATHS, ExecutionPath
from sfic_bench.training.logs import LoggedRun


def network(classes: int) -> nn.Module:
    convolutions = [nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


def pictures(folder: Path) -> pd.DataFrame:
    rows = [(path.name, int(path.name.startswith("fake")), path.stem) for path in sorted(folder.glob("*.png"))]
    frame = pd.DataFrame(rows, columns=["path", "label", "video"])
    return frame.assign(dataset="pictures", method="", split="test", compression="")


halves = Convention(name="halves", summary="half of each MAC", rule=lambda call: (call.macs or 0) // 2)
twice = ExecutionPath(name="twice", summary="fused, eager", maker=EXECUTION_PATHS["fused"].maker)
negative = Corruption(
    name="negative", title="Negative", unit="share", severities=(1,), least=0, most=1, function=lambda x, *_: 255 - x
)
importer = Importer(load=pictures)
broken = "no importer"


class Lines(Logger):
    """Writes what it is told as lines of JSON."""

    name, version = "lines", "1"

    def __init__(self, run: LoggedRun) -> None:
        self.path = run.folder / "lines.jsonl"

    def log_hyperparams(self, params: object, *args: object, **kwargs: object) -> None:
        self._write(params)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._write(metrics)

    def _write(self, values: object) -> None:
        with self.path.open("ab") as file:
            file.write(json.encode(values) + b"\n")


def unplugged(run: LoggedRun) -> Logger:
    raise OSError(f"no line of {run.name} gets through")
