"""What a network is trained, validated and tested with."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sfic_bench.data.loader import Batch
from sfic_bench.data.manifest import Manifest
from sfic_bench.errors import SficBenchError


class UnreadableData(SficBenchError):
    """Images that cannot be read, or a split that cannot be trained or tested with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What to train, validate and test with: rows of a manifest. Without any to validate with, nothing is.

    Raises:
        UnreadableData: if there is nothing to train or test with, or one class only to train with.
    """

    train: pd.DataFrame
    val: pd.DataFrame
    test: pd.DataFrame
    folder: Path
    name: str

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            if not len(getattr(self, part)):
                raise UnreadableData(f"{self.name}: the split {part} is empty")
        if self.train["label"].nunique() < 2:
            only = "fake" if self.train["label"].iat[0] else "real"
            raise UnreadableData(
                f"{self.name}: the split train has {only} images alone, such as {self.train['path'].iat[0]}; both are needed"
            )

    @classmethod
    def of(cls, manifest: Manifest) -> "Data":
        parts = {split: manifest.where(split=split) for split in ("train", "val", "test")}
        return cls(**parts, folder=manifest.folder, name=manifest.name)


def left_out(batch: Batch, frame: pd.DataFrame, *, skip: bool) -> list[str]:
    """Paths of ``batch``'s images that could not be read; ``frame`` is what it was taken from.

    Raises:
        UnreadableData: for the first such image, unless they are to be skipped.
    """
    if batch.unreadable and not skip:
        reason = batch.unreadable[0].reason
        raise UnreadableData(f"{reason}; --skip-unreadable goes on without such images")
    return [str(frame["path"].iat[image.index]) for image in batch.unreadable]
