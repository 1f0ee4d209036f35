"""Which images there are, and what is known of each: one table, whatever the data set.

Labels are explicit everywhere: fake is 1, the positive class. An importer converts what a data set has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sfic_bench.errors import SficBenchError, UnknownName
from sfic_bench.report.files import check_writable, write_atomically, write_bytes_atomically

COLUMNS = ("path", "label", "dataset", "method", "video", "split", "compression")
"""Of a manifest, in this order:

``path``: an image, absolute or relative to the manifest's folder; ``orl:…`` names one that is made on the fly.
``label``: 1 for fake, 0 for real.
``dataset``: such as ``FF++``.
``method``: how a fake was made, such as ``Deepfakes``; empty for a real image.
``video``: what a video-level score is taken over. Unique within a data set: it contains the method where two methods
name their videos alike.
``split``: ``train``, ``val`` or ``test``.
``compression``: such as ``c23``; empty where a data set has one only.
"""

OPTIONAL = ("mask",)
"""Columns that may follow. ``mask``: an image that is white where a fake was manipulated, for networks that learn from it."""

SPLITS = ("train", "val", "test")

FORMATS = (".csv", ".parquet")


class BadManifest(SficBenchError):
    """A manifest that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A checked table with `COLUMNS`, and the folder that its relative paths start from.

    Raises:
        BadManifest: for a column that is missing or unknown, no rows, a label, split or path that cannot be, or a path
            twice; the message names the row.
    """

    frame: pd.DataFrame
    folder: Path
    name: str = "manifest"

    def __post_init__(self) -> None:
        if problem := _problem(self.frame):
            raise BadManifest(f"{self.name}: {problem}")

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, **wanted: Sequence[str] | str) -> pd.DataFrame:
        """Rows whose columns have the ``wanted`` values: ``where(split="test", method=("", "Deepfakes"))``."""
        frame = self.frame
        for column, values in wanted.items():
            frame = frame[frame[column].isin([values] if isinstance(values, str) else list(values))]
        return frame

    def of_compression(self, *names: str) -> "Manifest":
        """Rows of these compressions, and of data sets that have only one.

        Raises:
            UnknownName: for one that no row has.
        """
        had = set(self.frame["compression"])
        for name in names:
            if not {name, ""} & had:
                raise UnknownName(f"compression of {self.name}", name, sorted(had))
        frame = self.where(compression=(*names, "")).reset_index(drop=True)
        return replace(self, frame=frame, name=f"{self.name} {'+'.join(names)}")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from CSV or Parquet.

    Raises:
        BadManifest: if it cannot be read or used.
    """
    _check_format(path)
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise BadManifest(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, UnicodeDecodeError) as error:
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BadManifest(f"{path} is no table: {said}") from None
    if "label" in frame:
        frame["label"] = frame["label"].map({0: 0, 1: 1, "0": 0, "1": 1}).astype("Int64")
    return Manifest(frame=frame, folder=path.parent, name=str(path))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` as CSV or Parquet, atomically. Relative paths must be relative to ``path``'s folder.

    Raises:
        BadManifest: for another ending.
        UnwritableOutput: if the file cannot be written.
    """
    _check_format(path)
    check_writable(path)
    if path.suffix == ".parquet":
        write_bytes_atomically(path, manifest.frame.to_parquet(index=False))
    else:
        write_atomically(path, manifest.frame.to_csv(index=False, lineterminator="\n"))


def _check_format(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise BadManifest(f"a manifest ends in {' or '.join(FORMATS)}, got {path}")


def _problem(frame: pd.DataFrame) -> str:
    """What is wrong with ``frame``; ``""`` if nothing."""
    missing = [c for c in COLUMNS if c not in frame]
    if missing:
        return f"lacks the column {missing[0]!r}; expected {', '.join(COLUMNS)}"
    if unknown := [str(c) for c in frame if c not in (*COLUMNS, *OPTIONAL)]:
        return f"has an unknown column {unknown[0]!r}; expected {', '.join((*COLUMNS, *OPTIONAL))}"
    if not len(frame):
        return "has no rows"
    for bad, said in (
        (~frame["label"].isin([0, 1]), "label must be 0 (real) or 1 (fake)"),
        (~frame["split"].isin(SPLITS), f"split must be one of {', '.join(SPLITS)}"),
        (frame["path"].astype(str).str.strip() == "", "path is empty"),
        (frame["path"].duplicated(), "path occurs twice"),
        ((frame["label"] == 0) & (frame["method"] != ""), "method must be empty for a real image"),
    ):
        if bad.fillna(True).any():
            i = int(bad.fillna(True).to_numpy().argmax())
            row = frame.iloc[i]
            return f"row {i + 1} ({row['path']}): {said}"
    return ""
