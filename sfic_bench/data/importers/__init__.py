"""The importers, which turn the folder of a data set into the table of a manifest, where the label of a fake is 1."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import pandas as pd

from sfic_bench.data.choices import DatasetKind, Draw, SplitName
from sfic_bench.data.draws import PAPER_DRAWS, drawn_as_paper
from sfic_bench.data.importers import celebdf, deepfakebench, dfdc, ffpp, lists, plain
from sfic_bench.data.importers.layout import BadLayout, Video
from sfic_bench.errors import InvalidValue, UnknownName, member
from sfic_bench.plugins import WithPlugins
from sfic_bench.units import printable

__all__ = ["IMPORTERS", "BadLayout", "identities", "import_dataset"]


@dataclass(frozen=True, kw_only=True)
class Importer:
    """How one kind of data set is read.

    Attributes:
        load: makes the table of a folder; its paths are absolute or relative to the folder. Its parameters besides the
            folder are the options of the kind.
        videos: lists the videos that faces can be taken out of; ``None`` if the data set has only images.
        annotations: patterns of files that an import needs beside the frames.
        load_of_paper: makes the table of all images that the paper draws from; ``load`` if not given.
    """

    load: Callable[..., pd.DataFrame]
    videos: Callable[[Path], list[Video]] | None = None
    annotations: tuple[str, ...] = ()
    load_of_paper: Callable[[Path], pd.DataFrame] | None = None


_OWN: Mapping[str, Importer] = {
    DatasetKind.FFPP: Importer(
        load=ffpp.load, videos=ffpp.list_videos, annotations=ffpp.ANNOTATIONS, load_of_paper=ffpp.load_of_paper
    ),
    DatasetKind.DFDC: Importer(load=dfdc.load, videos=dfdc.list_videos, annotations=dfdc.ANNOTATIONS),
    DatasetKind.CELEBDF: Importer(load=celebdf.load, videos=celebdf.list_videos, annotations=celebdf.ANNOTATIONS),
    DatasetKind.HFF: Importer(load=lists.load_hff),
    DatasetKind.RELEASED: Importer(load=lists.load_released),
    DatasetKind.DEEPFAKEBENCH: Importer(load=deepfakebench.load),
    DatasetKind.FOLDER: Importer(load=plain.load, videos=plain.list_videos),
}

IMPORTERS: Mapping[str, Importer] = WithPlugins(_OWN, "importers", Importer)
"""The importer of each kind of data set, with those of plug-ins."""

PEOPLE_IN_NAMES = {
    ffpp.DATASET: r"(\d{3})(?:_(\d{3}))?\Z",  # 071, or target_source as in 071_054
    ffpp.DFD: r"(\d{2})(?:_(\d{2}))?__",  # 01__hugging_happy, or 01_02__hugging_happy__YVGY8LOK
    "Celeb-DF": r"(id\d+)(?:_(id\d+))?_\d+\Z",  # id0_0003, or target and source as in id0_id1_0003
    "orl": r"([^-]*)",  # s01-real-hq
}
"""By data set, a pattern for the last part of a video's name, whose groups are the people in the video."""


def import_dataset(
    kind: str, folder: Path, *, fake_label: int | None = None, split: str | None = None, lmdb: Path | None = None,
    draw: str = Draw.OFFICIAL,
) -> pd.DataFrame:  # fmt: skip
    """The table of the data set in ``folder``; remarks for the user are in its ``attrs["notes"]``.

    Args:
        kind: one of `IMPORTERS`.
        folder: the data set's folder; for ``deepfakebench`` it may be a single file.
        fake_label: the label that means fake, for ``released``.
        split: the split of all images, one of `SplitName`, for ``folder``.
        lmdb: the folder of databases with the images, for ``deepfakebench``.
        draw: ``"official"`` for all images by the data set's own split, or ``"paper"`` for a draw as the paper's, see
            `sfic_bench.data.draws`.

    Raises:
        UnknownName: for an unknown kind, split or draw.
        InvalidValue: for an option that the kind does not take.
        BadLayout: if the folder is not laid out as the kind says.
    """
    if kind not in IMPORTERS:
        raise UnknownName("kind of data set", kind, IMPORTERS)
    importer, paper = IMPORTERS[kind], None
    load = importer.load
    if member(Draw, draw, "draw") is Draw.PAPER:
        if (paper := PAPER_DRAWS.get(kind)) is None:
            raise InvalidValue(f"the paper draws from {', '.join(PAPER_DRAWS)}, not from {kind}: leave the draw out")
        load = importer.load_of_paper or load
    named_split = None if split is None else member(SplitName, split, "split")
    options = {"fake_label": fake_label, "split": named_split, "lmdb": lmdb}
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in signature(load).parameters:
            raise InvalidValue(f"--{name.replace('_', '-')} is not for {kind}, whose files or folders say it")
    if not (folder.is_dir() or (kind == DatasetKind.DEEPFAKEBENCH and folder.is_file())):
        raise BadLayout(f"there is no folder {folder}")
    try:
        frame = load(folder, **given)
        return frame if paper is None else drawn_as_paper(frame, paper)
    except OSError as error:  # a list may name what no file can be called
        raise BadLayout(f"{printable(str(error.filename))[:200]}: {error.strerror or error}") from None
    except UnicodeError as error:
        raise BadLayout(f"{folder} lists a file whose name is no text: {error}") from None


def identities(dataset: str, video: str) -> tuple[str, tuple[str, ...]]:
    """The data set whose people are in a video, and these people, as far as the video's name identifies them.

    Both are empty for data sets whose names of videos do not identify anybody.
    """
    for start, pattern in PEOPLE_IN_NAMES.items():
        # The data set's name may be followed by a version or a remark; DFDC is another data set than DFD.
        if dataset == start or dataset.startswith(f"{start} "):
            people = re.match(pattern, video.rpartition("/")[2])
            return start, tuple(filter(None, people.groups())) if people else ()
    return "", ()
