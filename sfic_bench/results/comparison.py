"""Whether one result file is better or worse than another, as ``compare`` writes it."""

from typing import Literal, get_args

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.shown import Shown

Verdict = Literal["regressed", "inconclusive", "improved", "added", "removed", "equivalent"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""All verdicts, the one that matters most first. The first three of them, or else the last, decide a comparison."""


class Source(Struct, frozen=True, kw_only=True):
    """One of the two files."""

    path: str
    kind: str
    environment: Environment


class ComparisonRow(Struct, frozen=True, kw_only=True):
    """One figure of a row of either file.

    Attributes:
        row: the row's name, α, β and path in one line; the next four fields are its parts.
        metric: the name of the figure; ``""`` for a row that only one file has.
        test: ``"exact"`` for counts, ``"sampled"`` for times, ``"interval"`` for scores, ``"reading"`` for a single
            value that repeats.
        base, head: counts, bytes, median milliseconds or scores.
        ratio, low, high: head over base with its interval, which is a point for counts and readings.
        p: the p-value of a difference beyond the margin, adjusted for the whole table.
    """

    row: str
    name: str
    alpha: float | None
    beta: float | None
    where: str
    metric: str
    test: str
    base: int | float | None
    head: int | float | None
    ratio: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict
    note: str


class ComparisonResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/comparison/1"):
    """A verdict on every figure of two result files.

    Attributes:
        margin: how far times, memory and scores may differ and still count as equal, as a share: 0.02 for 2%.
        confidence: of intervals; 1 − confidence bounds the expected share of false verdicts.
        verdict: the one that decides: regressed, else inconclusive, else improved, else equivalent.
        counts: the number of figures for each verdict, also where it is 0.
        notes: what a reader must know about the two runs.
    """

    base: Source
    head: Source
    margin: float
    confidence: float
    verdict: Verdict
    counts: dict[Verdict, int]
    notes: list[str]
    rows: list[ComparisonRow]

    @property
    def changed(self) -> list[ComparisonRow]:
        """The rows that are not equivalent, the worst first."""
        changed = (row for row in self.rows if row.verdict != "equivalent")
        return sorted(changed, key=lambda row: VERDICTS.index(row.verdict))
