"""Scores of parts of the images: by manipulation method, by compression and by data set."""

from collections.abc import Iterator
from typing import Literal

import pandas as pd

from sfic_bench.results.scores import ScoreGroup
from sfic_bench.training.scores import summary
from sfic_bench.units import printable

By = Literal["dataset", "compression", "method"]


def score_groups(predictions: pd.DataFrame) -> list[ScoreGroup]:
    """The scores for each value of each column of which the images have several values.

    A method's fakes stand against all real images of the same data sets and compressions. Images for which a manifest
    names no value are in no group.

    Args:
        predictions: tested rows of a manifest, with a column ``score``.
    """
    columns: tuple[By, ...] = ("dataset", "compression", "method")
    return [
        ScoreGroup(by=by, name=printable(name)[:1000], images=len(rows), scores=summary(rows))
        for by in columns
        for name, rows in _parts(predictions, by)
    ]


def _parts(predictions: pd.DataFrame, by: By) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows for each value of a column, if there are several."""
    named = predictions.assign(**{by: predictions[by].fillna("").astype(str)})
    is_fake = named["label"] == 1
    places = pd.MultiIndex.from_frame(named[["dataset", "compression"]])
    values = sorted(set(named.loc[is_fake, by] if by == "method" else named[by]))
    for value in filter(None, values if len(values) > 1 else ()):
        chosen = named[by] == value
        if by == "method":
            chosen = (chosen & is_fake) | (~is_fake & places.isin(places[chosen & is_fake]))
        yield value, named[chosen]
