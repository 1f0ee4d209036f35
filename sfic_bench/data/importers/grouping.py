"""Groups of images that belong on one side of a split, and splits that keep groups whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue


@dataclass(frozen=True, kw_only=True, slots=True)
class SeededSplit:
    """Which shares of the images become ``train``, ``val`` and ``test``, at random.

    Raises:
        InvalidValue: unless there are three shares of at least 0 whose sum is 1.
    """

    shares: tuple[float, ...]
    seed: int = 7

    def __post_init__(self) -> None:
        if len(self.shares) != 3 or min(self.shares) < 0 or not abs(sum(self.shares) - 1) < 1e-6:
            shown = ",".join(f"{share:g}" for share in self.shares)
            raise InvalidValue(f"expected shares of train, val and test whose sum is 1, such as .8,.1,.1, got {shown}")
        if self.seed < 0:
            raise InvalidValue(f"seed must be at least 0, got {self.seed}")


def divided(frame: pd.DataFrame, split: SeededSplit) -> pd.DataFrame:
    """``frame`` with a new column ``split``; the images of a group, or of a video without a group, stay together.

    Groups of real images, of fakes and of both are each divided by themselves, so that every split has its share of
    each. The split follows from the seed and the names of the groups.

    Raises:
        InvalidValue: if the groups are too few to give every split that has a share an image.
    """
    groups = "video " + frame["video"]
    if "group" in frame:
        groups = groups.where(frame["group"] == "", "group " + frame["group"])
    by_group = frame["label"].groupby(groups).agg(["size", "min", "max"])
    names = np.array([name.value for name in SplitName])
    bounds = np.cumsum(split.shares)[:-1] - 1e-9
    split_of: dict[str, str] = {}
    for labels, of_kind in by_group.groupby(["min", "max"]):
        drawn = of_kind.loc[np.random.default_rng([split.seed, *labels]).permutation(of_kind.index.to_numpy(str))]
        middles = (drawn["size"].cumsum() - drawn["size"] / 2) / drawn["size"].sum()
        split_of |= dict(zip(drawn.index, names[np.searchsorted(bounds, middles, side="right")], strict=True))
    frame = frame.assign(split=groups.map(split_of))
    for name, share in zip(names, split.shares, strict=True):
        if share and not (frame["split"] == name).any():
            raise InvalidValue(
                f"{len(by_group)} groups of images are too few for {name} to have {share:g} of them: change the shares"
            )
    return frame


def groups_in(paths: Sequence[str], pattern: str) -> list[str]:
    """The group of each path: what ``pattern`` finds in it, or what its parentheses enclose.

    A path with several finds, such as the two people of ``071_054``, joins their groups into one, which has the first
    of their names in alphabetical order.

    Raises:
        InvalidValue: for a pattern that is no regular expression, or finds nothing in one of the paths.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidValue(f"the pattern of groups {pattern!r} is no regular expression: {error}") from None
    found = []
    for path in paths:
        match = compiled.search(path)
        names = [name for name in (match.groups() or (match[0],)) if name] if match else []
        if not names:
            raise InvalidValue(f"the pattern of groups {pattern!r} finds nothing in {path}")
        found.append(names)
    return _joined(found)


def _joined(found: Sequence[Sequence[str]]) -> list[str]:
    """For each list of names, the first name of all that lists with common names connect it to."""
    before: dict[str, str] = {}

    def first(name: str) -> str:
        while before.setdefault(name, name) != name:
            name = before[name]
        return name

    for names in found:
        firsts = sorted({first(name) for name in names})
        before.update(dict.fromkeys(firsts, firsts[0]))
    return [first(names[0]) for names in found]
