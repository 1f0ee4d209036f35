"""Whether one result file is better or worse than another, as ``compare`` finds it."""

from typing import Literal

from msgspec import Struct

from sfic_bench.results.environment import Environment

Verdict = Literal["regressed", "inconclusive", "improved", "added", "removed", "equivalent"]

VERDICTS: tuple[Verdict, ...] = ("regressed", "inconclusive", "improved", "added", "removed", "equivalent")
"""In the order in which a reader wants them."""


class Source(Struct, frozen=True, kw_only=True):
    """One of the two files."""

    path: str
    kind: str
    environment: Environment


class ComparisonRow(Struct, frozen=True, kw_only=True):
    """One figure of one row that either file has.

    Attributes:
        row: the row's name, α, β and path in one line; the next four fields are its parts.
        metric: the figure; ``""`` for a row that only one file has.
        test: ``"exact"`` for counts, ``"sampled"`` for times, ``"reading"`` for a single value that repeats.
        base, head: counts, bytes or median milliseconds.
        ratio, low, high: head over base with its interval, which is a point for counts and readings.
        p: that a difference beyond the margin comes about by chance, adjusted for the whole table.
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


class ComparisonResult(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/comparison/1"):
    """A verdict on every figure of two result files.

    Attributes:
        margin: how far times and memory may differ and still be equal, as a share.
        confidence: of intervals; 1 − confidence bounds the expected share of false verdicts.
        verdict: the one that decides: regressed, else inconclusive, else improved, else equivalent.
        notes: what a reader must know of the two runs.
    """

    base: Source
    head: Source
    margin: float
    confidence: float
    verdict: Verdict
    counts: dict[Verdict, int]
    notes: list[str]
    rows: list[ComparisonRow]
