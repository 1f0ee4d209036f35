"""The images that a network is trained, validated and tested with."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from msgspec import Struct

from sfic_bench.data.choices import SplitName
from sfic_bench.data.loader import Batch
from sfic_bench.data.manifest import ON_THE_FLY, Manifest, rows_digest, sizes_digest
from sfic_bench.errors import SficBenchError


class UnusableData(SficBenchError):
    """Images that cannot be read, or a split that a network cannot be trained or tested with."""


class DataDigests(Struct, frozen=True, kw_only=True):
    """What tells one set of images from another.

    Attributes:
        rows: the SHA-256 of the manifest's rows: paths, labels, splits and what else is known of each image.
        sizes: the SHA-256 of the sizes of all image files.
    """

    rows: str
    sizes: str

    @classmethod
    def of(cls, frame: pd.DataFrame, folder: Path) -> "DataDigests":
        """The digests of the rows of a manifest, whose relative paths start from ``folder``."""
        return cls(rows=rows_digest(frame), sizes=sizes_digest(frame, folder))


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSplits:
    """The rows of a manifest by split. Without rows in ``val`` there is no validation.

    Raises:
        UnusableData: if ``train`` or ``test`` is empty, or ``train`` has only one class.
    """

    train: pd.DataFrame
    val: pd.DataFrame
    test: pd.DataFrame
    folder: Path
    name: str

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            if not len(getattr(self, split)):
                raise UnusableData(f"{self.name}: the split {split} is empty")
        if self.train["label"].nunique() < 2:
            label = "fake" if self.train["label"].iat[0] else "real"
            raise UnusableData(
                f"{self.name}: the split train has only {label} images, such as {self.train['path'].iat[0]}; "
                f"both classes are needed"
            )

    @property
    def images(self) -> dict[str, int]:
        """The number of images of each split."""
        return {split.value: len(getattr(self, split)) for split in SplitName}

    @property
    def has_masks(self) -> bool:
        """Whether any training fake has a mask, or is made on the fly with one."""
        fakes = self.train[self.train["label"] == 1]
        on_the_fly = fakes["path"].astype(str).str.startswith(ON_THE_FLY).any()
        return bool(on_the_fly or ("mask" in fakes and (fakes["mask"] != "").any()))

    def digests(self) -> DataDigests:
        """What tells these images from others, whatever their manifest is called."""
        return DataDigests.of(pd.concat([self.train, self.val, self.test]), self.folder)

    @classmethod
    def of(cls, manifest: Manifest) -> "DataSplits":
        """The splits of a manifest."""
        train, val, test = (manifest.where(split=split) for split in (SplitName.TRAIN, SplitName.VAL, SplitName.TEST))
        return cls(train=train, val=val, test=test, folder=manifest.folder, name=manifest.name)


class UnreadablePaths:
    """The paths of images that could not be read and are left out, in the order of loading.

    Args:
        skip: leave such images out; otherwise the first one is an error.
    """

    def __init__(self, *, skip: bool) -> None:
        self.skip = skip
        self._paths: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def note(self, batch: Batch, frame: pd.DataFrame) -> None:
        """Note the unreadable images of ``batch``, which was taken from ``frame``.

        Raises:
            UnusableData: for the first unreadable image, unless they are skipped.
        """
        if batch.unreadable and not self.skip:
            reason = batch.unreadable[0].reason
            raise UnusableData(f"{reason}; --skip-unreadable goes on without such images")
        self._paths |= dict.fromkeys(str(frame["path"].iat[image.index]) for image in batch.unreadable)
