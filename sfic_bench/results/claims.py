"""What the paper says in words about accuracy and cost, against its own figures and other people's results."""

from typing import Literal

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.shown import Shown

ClaimVerdict = Literal["true", "true in part", "not borne out", "undecided", "not measured"]
"""``true``: every comparison that the claim rests on holds. ``true in part``: some do. ``not borne out``: none does.
``undecided``: intervals leave it open, which printed figures have none of. ``not measured``: the cells are missing."""


class WordsRow(Struct, frozen=True, kw_only=True):
    """One claim in words.

    Attributes:
        place: the table that it is about.
        says: the claim, in few words.
        holds, of: how many of the comparisons that the claim rests on hold.
        finding: the figures.
        source: ``"printed"``, or the name of a file of results.
    """

    place: str
    says: str
    verdict: ClaimVerdict
    holds: int
    of: int
    finding: str
    source: str = "printed"


class SuspiciousRow(Struct, frozen=True, kw_only=True):
    """Printed figures that a reader should doubt, and why."""

    place: str
    what: str
    finding: str


class ClaimsResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/claims/1"):
    """The paper's claims in words with their verdicts, and its suspicious figures."""

    environment: Environment
    rows: list[WordsRow]
    suspicious: list[SuspiciousRow]
