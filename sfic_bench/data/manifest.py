"""Manifests, which list a data set's images and what is known of each, in one form for every data set."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.errors import SficBenchError, UnknownName, first_line
from sfic_bench.files import read_file, write_bytes_atomically

COLUMNS = ("path", "label", "dataset", "method", "video", "split", "compression")
"""The columns of a manifest, in this order:

``path``: an image, absolute or relative to the manifest's folder, which may be an entry of a database, see
`sfic_bench.data.databases`; ``orl:…`` names an image that is made on the fly.
``label``: 1 for fake, the positive class; 0 for real. Importers convert the labels of a data set.
``dataset``: such as ``FF++``.
``method``: how a fake was made, such as ``Deepfakes``; empty for a real image.
``video``: the images whose mean score is a video's score. The name is unique within a data set: it contains the method
where two methods give their videos the same names.
``split``: ``train``, ``val`` or ``test``.
``compression``: such as ``c23``; empty where a data set has only one.
"""

OPTIONAL_COLUMNS = ("mask", "group")
"""Columns that may follow.

``mask``: an image that is white where a fake was manipulated, for networks that learn from it.
``group``: videos of one group show the same person or scene, such as a fake and its original. Intervals resample whole
groups, and `sfic-bench data check` says which groups are in two splits. Without it each video is a group.
"""

ON_THE_FLY = "orl:"
"""The start of the path of an image that is made on the fly and has no file."""

MANIFEST_SUFFIXES = (".csv", ".parquet")


class BadManifest(SficBenchError):
    """A manifest that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A checked table with `COLUMNS`, and the folder that its relative paths start from.

    Raises:
        BadManifest: for a missing or unknown column, for a table without rows, for an invalid label, split or path,
            and for a path that occurs twice; the message names the row.
    """

    frame: pd.DataFrame
    folder: Path
    name: str = "manifest"

    def __post_init__(self) -> None:
        if problem := _problem(self.frame):
            raise BadManifest(f"{self.name}: {problem}")

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, **values_of: Sequence[str] | str) -> pd.DataFrame:
        """The rows whose columns have the given values: ``where(split="test", method=("", "Deepfakes"))``."""
        frame = self.frame
        for column, values in values_of.items():
            frame = frame[frame[column].isin([values] if isinstance(values, str) else list(values))]
        return frame

    def of_compression(self, *names: str) -> "Manifest":
        """The rows of these compressions, and those of data sets that have only one compression.

        Raises:
            UnknownName: for a compression that no row has.
        """
        known = set(self.frame["compression"])
        for name in names:
            if not {name, ""} & known:
                raise UnknownName(f"compression of {self.name}", name, sorted(known))
        frame = self.where(compression=(*names, "")).reset_index(drop=True)
        return replace(self, frame=frame, name=f"{self.name} {'+'.join(names)}")


def frame_keys(frame: pd.DataFrame) -> "pd.Series[str]":
    """What names each image's frame whatever its compression: data set, video and file name.

    Forms of one frame in several compressions have the same key. A video's name has the compression as one of its
    parts, as in ``Deepfakes/c23/071_054``.
    """
    columns = (frame[name].astype(str) for name in ("dataset", "video", "compression", "path"))
    keys = [
        f"{dataset}:{_without(video, compression)}/{PurePosixPath(path).stem}"
        for dataset, video, compression, path in zip(*columns, strict=True)
    ]
    return pd.Series(keys, index=frame.index, dtype=str)


def _without(video: str, compression: str) -> str:
    return "/".join(part for part in video.split("/") if part != compression) if compression else video


def rows_digest(frame: pd.DataFrame) -> str:
    """The SHA-256 of the rows of a manifest: paths, labels and all other columns, in their order."""
    return hashlib.sha256(frame.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def sizes_digest(frame: pd.DataFrame, folder: Path) -> str:
    """The SHA-256 of the sizes of a manifest's images in bytes: 0 for an image that is no file."""
    sizes = "\n".join(str(_size(folder / path)) for path in frame["path"].astype(str))
    return hashlib.sha256(sizes.encode()).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from CSV or Parquet.

    Raises:
        BadManifest: if the file cannot be read or is no valid manifest.
    """
    _check_format(path)
    try:
        is_parquet = path.suffix == ".parquet"
        data = io.BytesIO(read_file(path))
        frame = pd.read_parquet(data) if is_parquet else pd.read_csv(data, dtype=str, keep_default_na=False)
    except OSError as error:
        raise BadManifest(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # of a damaged Parquet file, pandas and pyarrow raise almost anything
        raise BadManifest(f"{path} is no table: {first_line(error)}") from None
    if "label" in frame:
        frame["label"] = frame["label"].map({0: 0, 1: 1, "0": 0, "1": 1}).astype("Int64")
    return Manifest(frame=frame, folder=path.parent, name=str(path))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` as CSV or Parquet. Relative paths must be relative to the folder of ``path``.

    Raises:
        BadManifest: for a file name that ends in neither ``.csv`` nor ``.parquet``.
        UnwritableOutput: if the file cannot be written.
    """
    _check_format(path)
    frame = manifest.frame
    is_parquet = path.suffix == ".parquet"
    data = frame.to_parquet(index=False) if is_parquet else frame.to_csv(index=False, lineterminator="\n").encode()
    write_bytes_atomically(path, data)


def _check_format(path: Path) -> None:
    if path.suffix not in MANIFEST_SUFFIXES:
        raise BadManifest(f"expected a manifest's name to end in {' or '.join(MANIFEST_SUFFIXES)}, got {path}")


def _problem(frame: pd.DataFrame) -> str:
    """What is wrong with ``frame``; ``""`` if nothing is."""
    if missing := [column for column in COLUMNS if column not in frame]:
        return f"lacks the column {missing[0]!r}; expected {', '.join(COLUMNS)}"
    known = (*COLUMNS, *OPTIONAL_COLUMNS)
    if unknown := [str(column) for column in frame if column not in known]:
        return f"has an unknown column {unknown[0]!r}; expected {', '.join(known)}"
    if not len(frame):
        return "has no rows"
    splits = [split.value for split in SplitName]
    for is_bad, message in (
        (~frame["label"].isin([0, 1]), "label must be 0 (real) or 1 (fake)"),
        (~frame["split"].isin(splits), f"split must be one of {', '.join(splits)}"),
        (frame["path"].astype(str).str.strip() == "", "path is empty"),
        (frame["path"].duplicated(), "path occurs twice"),
        ((frame["label"] == 0) & (frame["method"] != ""), "method must be empty for a real image"),
    ):
        if is_bad.fillna(True).any():
            index = int(is_bad.fillna(True).to_numpy().argmax())
            return f"row {index + 1} ({frame['path'].iat[index]}): {message}"
    return ""
