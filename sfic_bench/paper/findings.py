"""How a claim in words is tested: the outcomes of its comparisons, and what several claims compare."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sfic_bench.paper.scores import Cell, Scores, better, select
from sfic_bench.results.claims import ClaimVerdict
from sfic_bench.statistics.interval import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The outcomes of a claim's comparisons, ``None`` for one that is open, and the figures in words."""

    outcomes: list[bool | None]
    words: str

    @property
    def verdict(self) -> ClaimVerdict:
        holds, fails, is_open = (self.outcomes.count(outcome) for outcome in (True, False, None))
        if not self.outcomes:
            return "not measured"
        if holds and fails:
            return "true in part"
        return "undecided" if is_open else "true" if holds else "not borne out"


Test = Callable[[Scores], Finding]


@dataclass(frozen=True, kw_only=True, slots=True)
class WordsClaim:
    """A claim and its test; one ``of_cost`` rests on printed costs, and not on scores."""

    place: str
    says: str
    test: Test
    of_cost: bool


CLAIMS_IN_WORDS: list[WordsClaim] = []


def claim(place: str, says: str, *, of_cost: bool = False) -> Callable[[Test], Test]:
    """Register a function as the test of a claim."""

    def register(test: Test) -> Test:
        CLAIMS_IN_WORDS.append(WordsClaim(place=place, says=says, test=test, of_cost=of_cost))
        return test

    return register


def baselines(scores: Scores) -> dict[Cell, Interval]:
    """The scores of vanilla networks and detectors."""
    return {cell: score for cell, score in scores.items() if not cell.is_sfic}


def sfic_networks(scores: Scores) -> dict[Cell, Interval]:
    """The scores of SFIC networks."""
    return {cell: score for cell, score in scores.items() if cell.is_sfic}


def vanilla_of(scores: Scores, cell: Cell) -> Interval | None:
    """The score of the vanilla network in the column of an SFIC network."""
    return scores.get(cell._replace(model=cell.model.removeprefix("SFIC-"), alpha=None, beta=None))


def over_vanilla(
    scores: Scores, *tables: str, where: Callable[[Cell], bool] = lambda _: True
) -> dict[Cell, bool | None]:
    """Whether each SFIC network is better than its vanilla one in the same column, where both are known."""
    return {
        cell: better(score, vanilla)
        for cell, score in select(scores, *tables, where=where).items()
        if cell.is_sfic and (vanilla := vanilla_of(scores, cell)) is not None
    }


def counted(outcomes: Iterable[bool | None]) -> str:
    """How many of ``outcomes`` hold, such as ``4 of 5``."""
    counts = Counter(outcomes)
    undecided = f", {counts[None]} undecided" if counts[None] else ""
    return f"{counts[True]} of {counts.total()}{undecided}"


def differences(scores: Scores, cells: Iterable[Cell]) -> list[float]:
    """By how many points SFIC networks are above their vanilla ones."""
    pairs = ((scores[cell], vanilla_of(scores, cell)) for cell in cells)
    return [own.estimate - vanilla.estimate for own, vanilla in pairs if vanilla is not None]


def ranged(values: Iterable[float]) -> str:
    """The least and the largest of ``values``, which are points."""
    known = list(values)
    return f"{min(known):+.2f} to {max(known):+.2f} points" if known else "not measured"
