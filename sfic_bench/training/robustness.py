"""The scores of trained networks on images that are corrupted more and more.

Every network sees the same pixels, so that differences between networks are of the same images. Each severity reads
and corrupts every image once, for all networks that take images of one size in batches of one size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import msgspec
import pandas as pd

from sfic_bench.data.corruptions import Corruption
from sfic_bench.data.images import Pixels
from sfic_bench.errors import InvalidValue
from sfic_bench.results.robustness import CLEAN, CorruptionScale, RobustnessRow
from sfic_bench.training.config import RunConfig
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.runs import UnusableRun
from sfic_bench.training.scores import over_seeds
from sfic_bench.training.scoring import ImagesToScore, loadings

Seeds = Sequence[TrainedNetwork]
"""The runs of one network, which differ only in their seed, by seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """Images corrupted with one severity, or as they are if there is no corruption.

    Raises:
        InvalidValue: for a severity out of range.
    """

    corruption: Corruption | None = None
    severity: float | None = None

    def __post_init__(self) -> None:
        self.function()

    def __str__(self) -> str:
        return CLEAN if self.corruption is None else f"{self.corruption.name} {self.severity:g}"

    def function(self) -> Callable[[Pixels, int], Pixels] | None:
        """What is done to an image, given its number; see `Corruption.at`."""
        return None if self.corruption is None or self.severity is None else self.corruption.at(self.severity)


def all_damaged(chosen: Mapping[Corruption, Sequence[float]]) -> list[Damaged]:
    """The images as they are, then each corruption with each of its severities but that which changes nothing.

    Raises:
        InvalidValue: for a severity out of range, and for a corruption without one that changes anything.
    """
    for corruption, severities in chosen.items():
        if not set(severities) - {corruption.untouched}:
            raise InvalidValue(f"{corruption.name} {corruption.untouched:g} leaves an image as it is: name a severity")
    return [
        Damaged(),
        *(
            Damaged(corruption=corruption, severity=severity)
            for corruption, severities in chosen.items()
            for severity in severities
            if severity != corruption.untouched
        ),
    ]


def scales(damaged: Sequence[Damaged]) -> list[CorruptionScale]:
    """The corruptions among ``damaged`` with their severities, as a result has them."""
    found = groupby((d for d in damaged if d.corruption is not None), lambda d: d.corruption)
    return [
        CorruptionScale(
            name=corruption.name, title=corruption.title, unit=corruption.unit, untouched=corruption.untouched,
            severities=[d.severity for d in group if d.severity is not None],
        )
        for corruption, group in found
        if corruption is not None
    ]  # fmt: skip


def by_variant(networks: Sequence[TrainedNetwork]) -> list[Seeds]:
    """The runs of each network together, by seed; networks in the order of their first runs.

    Raises:
        UnusableRun: if two runs of a network differ in more than their seed, or not even in that.
    """
    groups: dict[tuple[str, float | None, float | None], list[TrainedNetwork]] = {}
    for network in networks:
        variant = network.variant
        groups.setdefault((variant.backbone, variant.alpha, variant.beta), []).append(network)
    for runs in groups.values():
        first, variant = runs[0], runs[0].variant
        for other in runs[1:]:
            if words := "; ".join(_with_seed(other, first.recipe.seed).differences_from(first.run.config()).values()):
                raise UnusableRun(
                    f"{first.run.folder} and {other.run.folder} both have {variant}, and {words}; runs of a network "
                    "may differ only in their seed: score these by a command each"
                )
        runs.sort(key=lambda network: network.recipe.seed)
        for one, another in pairwise(runs):
            if one.recipe.seed == another.recipe.seed:
                raise UnusableRun(
                    f"{one.run.folder} and {another.run.folder} both are {variant} with the seed {one.recipe.seed}: "
                    "name one of them"
                )
    return list(groups.values())


def _with_seed(network: TrainedNetwork, seed: int) -> RunConfig:
    config = network.run.config()
    return msgspec.structs.replace(config, recipe=replace(config.recipe, seed=seed))


def notes_of(groups: Sequence[Seeds]) -> list[str]:
    """What a reader must know of networks that are compared with vanilla ones."""
    notes = []
    vanilla = {seeds[0].variant.backbone: seeds for seeds in groups if seeds[0].variant.is_vanilla}
    for seeds in groups:
        variant = seeds[0].variant
        base = vanilla.get(variant.backbone)
        if variant.is_vanilla or base is None:
            continue
        if len(base) != len(seeds):
            notes.append(f"{variant} has {len(seeds)} runs and vanilla {len(base)}: a difference needs as many of both")
        config = msgspec.structs.replace(
            _with_seed(seeds[0], base[0].recipe.seed), variant=base[0].run.config().variant
        )
        if words := "; ".join(config.differences_from(base[0].run.config()).values()):
            notes.append(f"{variant} was trained in another way than vanilla: {words}")
    return notes


@dataclass(frozen=True, kw_only=True)
class Measurement(ImagesToScore):
    """Networks, and the images that they are scored on; see `ImagesToScore`.

    Attributes:
        groups: the runs of each network, see `by_variant`.
    """

    groups: Sequence[Seeds]

    @property
    def networks(self) -> list[TrainedNetwork]:
        """All runs."""
        return [network for seeds in self.groups for network in seeds]

    def rows(self, damaged: Damaged, advance: Callable[[int], object]) -> list[RobustnessRow]:
        """A row for each network; ``advance`` is called with the number of images of each batch and kind of loading.

        Raises:
            UnusableData: for an image that cannot be read or corrupted unless such images are skipped, and if none
                can.
            UnusableRun: if a network gives scores that are no numbers.
        """
        scored = self._scored(damaged, advance)
        vanilla = {s[0].variant.backbone: scored[i] for i, s in enumerate(self.groups) if s[0].variant.is_vanilla}
        rows = []
        for seeds, runs in zip(self.groups, scored, strict=True):
            variant = seeds[0].variant
            base = None if variant.is_vanilla else vanilla.get(variant.backbone)
            rows.append(
                RobustnessRow(
                    backbone=variant.backbone, alpha=variant.alpha, beta=variant.beta,
                    corruption=damaged.corruption.name if damaged.corruption else CLEAN, severity=damaged.severity,
                    unit=damaged.corruption.unit if damaged.corruption else "",
                    images=len(runs[0]), seeds=len(runs),
                    frame_auc=over_seeds(runs)["auc"], video_auc=over_seeds(runs, level="video")["auc"],
                    auc_over_vanilla=over_seeds(runs, base)["auc"] if base and len(base) == len(runs) else None,
                )
            )  # fmt: skip
        return rows

    def loadings(self) -> list[list[TrainedNetwork]]:
        """All runs, in groups that can be given the same batches."""
        return loadings(self.networks, draft=False)

    def _scored(self, damaged: Damaged, advance: Callable[[int], object]) -> list[list[pd.DataFrame]]:
        """The readable rows with a column ``score``, for each run of each network."""
        # Without the recipes' draft: a corruption is of an image in its full size.
        scored = self.scored(
            self.networks,
            draft=False,
            corrupt=damaged.function(),
            advance=advance,
            without_any=f"no image of the split could be read and corrupted ({damaged})",
        )
        return [[scored[network] for network in seeds] for seeds in self.groups]
