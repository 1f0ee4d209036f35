"""The scores that several networks give to the same images, which are read once for all that take the same batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from sfic_bench.data.images import Pixels
from sfic_bench.data.loader import Images, Order, batches
from sfic_bench.errors import InvalidValue
from sfic_bench.training.recipe import Recipe
from sfic_bench.training.runs import Run, UnusableRun
from sfic_bench.training.splits import UnreadablePaths, UnusableData


class Scorer(Protocol):
    """The network of a run, however it is run."""

    @property
    def run(self) -> Run: ...

    @property
    def recipe(self) -> Recipe: ...

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of fake of each of N images, bytes ``[N, 3, S, S]``, in float64."""


Scoring = TypeVar("Scoring", bound=Scorer)


def loadings(scorers: Sequence[Scoring], *, draft: bool) -> list[list[Scoring]]:
    """``scorers`` in groups that can be given the same batches; with ``draft``, images are read as recipes say."""
    together: dict[tuple[int, int, bool], list[Scoring]] = {}
    for scorer in scorers:
        recipe = scorer.recipe
        together.setdefault((recipe.input_size, recipe.batch_size, draft and recipe.draft), []).append(scorer)
    return list(together.values())


@dataclass(frozen=True, kw_only=True)
class ImagesToScore:
    """Rows of a manifest, of both classes.

    Attributes:
        frame: the rows.
        folder: where relative paths start.
        workers: number of processes that read images.
        unreadable: the paths of images that could not be read.

    Raises:
        InvalidValue: if the images are of one class, so that there is no AUC.
    """

    frame: pd.DataFrame
    folder: Path
    workers: int
    unreadable: UnreadablePaths

    def __post_init__(self) -> None:
        if self.frame["label"].nunique() < 2:
            only = "fake" if self.frame["label"].iat[0] else "real"
            raise InvalidValue(f"an AUC needs real and fake images, and all {len(self.frame):,} are {only}")

    def scored(
        self,
        scorers: Sequence[Scoring],
        *,
        draft: bool = True,
        corrupt: Callable[[Pixels, int], Pixels] | None = None,
        advance: Callable[[int], object] = lambda _: None,
        without_any: str = "no image of the split could be read",
    ) -> dict[Scoring, pd.DataFrame]:
        """The readable rows with a column ``score``, by each of ``scorers``.

        Args:
            scorers: the networks.
            draft: whether images are read at a part of their size where a recipe says so.
            corrupt: see `sfic_bench.data.loader.Images`.
            advance: is called with the number of images of each batch that was read.
            without_any: the message if there are no such rows.

        Raises:
            UnusableData: for an image that cannot be read unless such images are skipped, and if none can.
            UnusableRun: if a network gives scores that are no numbers.
        """
        scores = {scorer: np.full(len(self.frame), np.nan) for scorer in scorers}
        readable = np.ones(len(self.frame), bool)
        for together in loadings(scorers, draft=draft):
            recipe = together[0].recipe
            images = Images(self.frame, self.folder, recipe.input_size, draft=draft and recipe.draft, corrupt=corrupt)
            for batch in batches(images, Order(len(self.frame)), recipe.batch_size, self.workers):
                self.unreadable.note(batch, self.frame)
                readable[[item.index for item in batch.unreadable]] = False
                for scorer in together if len(batch) else ():
                    scores[scorer][batch.indices.numpy()] = scorer.probabilities(batch.images).numpy()
                advance(len(batch) + len(batch.unreadable))
        if not readable.any():
            raise UnusableData(without_any)
        for scorer, values in scores.items():
            if np.isnan(values[readable]).any():
                raise UnusableRun(f"{scorer.run.folder} gives scores that are no numbers: its training has diverged")
        rows = self.frame[readable].reset_index(drop=True)
        return {scorer: rows.assign(score=values[readable]) for scorer, values in scores.items()}
