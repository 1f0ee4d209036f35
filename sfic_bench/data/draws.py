"""Images drawn as the paper draws them: so many real and fake ones at random, divided image by image.

Frames of one video come to lie on both sides of such a split, so that it leaks: scores on it say little about new
videos. The official splits, which importers give by default, do not leak.

Source: Guo et al., IEEE TIFS 2024, Section IV-A.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sfic_bench.data.choices import DatasetKind, SplitName
from sfic_bench.data.manifest import frame_keys
from sfic_bench.paper.wide import DataName
from sfic_bench.results.accuracy import AccuracyRow

SEED = 7
"""The paper's seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperDraw:
    """How the paper chooses images of a data set.

    Attributes:
        name: what the data set's name in a manifest gets, in parentheses.
        images: number of real and of fake images together, half of them of each; all that there are if 0.
        test_share: the share of the images of each class that is ``test``; the others are ``train``.
        videos: numbers of real and of fake videos that they come from; 0 where the paper does not say.
    """

    name: str
    images: int
    test_share: float
    videos: tuple[int, int]


PAPER_DRAWS: Mapping[str, PaperDraw] = {
    DatasetKind.FFPP: PaperDraw(name="paper-120k", images=120_000, test_share=1 / 6, videos=(1363, 4000)),
    DatasetKind.DFDC: PaperDraw(name="paper-120k", images=120_000, test_share=1 / 6, videos=(2891, 20_210)),
    DatasetKind.CELEBDF: PaperDraw(name="paper-120k", images=120_000, test_share=1.0, videos=(890, 5639)),
    DatasetKind.HFF: PaperDraw(name="paper-155k", images=0, test_share=1 / 5, videos=(0, 0)),
}
"""The paper's draw by kind of data set: 60,000 real and 60,000 fake images, 5:1, and HFF's 155,000 4:1."""


def drawn_as_paper(frame: pd.DataFrame, draw: PaperDraw) -> pd.DataFrame:
    """The rows of ``frame`` that the paper's draw takes, with their splits; remarks for the user join its notes.

    A frame is drawn once for all its compressions, and all of them lie on one side; a frame that lacks one of the
    compressions is not drawn. The draw follows from `SEED` and from the order of the frames' names.

    Args:
        frame: a manifest's table of all images, in the order of their paths; ``attrs["notes"]`` is taken over.
        draw: the paper's draw.
    """
    keys = frame_keys(frame)
    is_whole = keys.map(keys.value_counts()) == max(1, frame["compression"].nunique())
    notes = [*frame.attrs.get("notes", [])]
    if lacking := int((~is_whole).sum()):
        notes.append(f"{lacking:,} images have no counterpart in the other compressions and were not drawn")
    first = frame[is_whole & ~keys.duplicated()]
    split_of: dict[str, str] = {}
    short = 0
    for label, name in ((0, "real"), (1, "fake")):
        names = np.sort(keys[first.index[first["label"] == label]].to_numpy(dtype=str))
        wanted = draw.images // 2 or len(names)
        chosen = np.random.default_rng([SEED, label]).permutation(names)[:wanted]
        tested = round(len(chosen) * draw.test_share)
        split_of |= dict.fromkeys(chosen[:tested], SplitName.TEST.value)
        split_of |= dict.fromkeys(chosen[tested:], SplitName.TRAIN.value)
        if missing := wanted - len(chosen):
            short += missing
            notes.append(f"the paper draws {wanted:,} {name} images, and there are {missing:,} fewer")
        videos, of_paper = first[first["label"] == label]["video"].nunique(), draw.videos[label]
        if of_paper and videos != of_paper:
            notes.append(f"the paper has {of_paper:,} {name} videos, and this folder has images of {videos:,}")
    splits = keys.map(split_of)
    drawn = frame[is_whole & splits.notna()].copy()
    name = f"{draw.name}, {short:,} short" if short else draw.name
    drawn["split"] = splits[drawn.index]
    drawn["dataset"] = drawn["dataset"] + f" ({name})"
    if draw.test_share < 1:
        notes.append("frames of one video are on both sides of this split: it leaks")
    drawn = drawn.reset_index(drop=True)
    drawn.attrs["notes"] = notes
    return drawn


_DRAWN = re.compile(rf" \((?:{'|'.join({draw.name for draw in PAPER_DRAWS.values()})})\)")


def data_name(name: str) -> DataName:
    """What the paper calls the data of an experiment, and whether they were drawn as the paper draws them."""
    if (papers := as_printed(name)) is not None:
        return DataName(name=papers, is_papers=True)
    return DataName(name=re.sub(r" \(paper-[^)]*\)", "", name), is_papers=False)


def names_of(rows: Iterable[AccuracyRow]) -> dict[str, DataName]:
    """The `data_name` of all data in ``rows``."""
    return {name: data_name(name) for row in rows for name in (row.train_on, row.test_on)}


def as_printed(name: str) -> str | None:
    """The paper's name for the data of an experiment; ``None`` for images that were not drawn as the paper draws them.

    The paper calls its draw by the data set's name, and does not say that it leaks.
    """
    return _DRAWN.sub("", name) if _DRAWN.search(name) else None
