"""Whether a head is better or worse than its base: an exact gate for counts, a statistical one for times.

docs/comparing.md states the rules and what they assume.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from msgspec import json

from sfic_bench.compare.alike import NotComparable, check_alike
from sfic_bench.compare.figures import IDENTITY, figures
from sfic_bench.errors import InvalidValue
from sfic_bench.results.comparison import VERDICTS, ComparisonResult, ComparisonRow, Source, Verdict
from sfic_bench.results.read import ResultFile
from sfic_bench.statistics.rank_test import adjusted, shifts


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A verdict on every figure that either file has.

    Attributes:
        table: one row a figure. Columns of `IDENTITY`; ``row``, ``metric`` and ``test`` as in `figures`;
            ``base``, ``head``: counts, bytes or median ms; ``ratio``, ``low``, ``high``: head over base
            with its interval (a point for counts and readings); ``p``: of a difference beyond the margin, adjusted for
            the whole grid; ``verdict``; ``note``.
        margin: as a share, 0.02 for 2%.
        notes: what a reader must know of the two runs.
    """

    base: ResultFile
    head: ResultFile
    margin: float
    confidence: float
    table: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many figures have each verdict, none left out."""
        found = self.table["verdict"].value_counts()
        return {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS}

    @property
    def overall(self) -> Verdict:
        """The verdict that decides: regressed, else inconclusive, else improved, else equivalent."""
        counts = self.counts
        return next((v for v in VERDICTS[:3] if counts[v]), "equivalent")

    def result(self) -> ComparisonResult:
        """The same as a result file."""
        rows = self.table.to_json(orient="records", double_precision=15)
        return ComparisonResult(
            base=_source(self.base), head=_source(self.head), margin=self.margin, confidence=self.confidence,
            verdict=self.overall, counts=self.counts, notes=list(self.notes),
            rows=json.decode(rows, type=list[ComparisonRow]),
        )  # fmt: skip

    @property
    def changed(self) -> pd.DataFrame:
        """What is not equivalent, the worst first."""
        order = self.table["verdict"].map(VERDICTS.index)
        return self.table[self.table["verdict"] != "equivalent"].iloc[
            np.argsort(order[self.table["verdict"] != "equivalent"], kind="stable")
        ]


def _source(file: ResultFile) -> Source:
    return Source(path=str(file.path), kind=file.kind, environment=file.environment)


def compare(
    base: ResultFile,
    head: ResultFile,
    *,
    margin: float = 0.02,
    confidence: float = 0.95,
    relative: bool = False,
    ignore: Collection[str] = (),
) -> Comparison:
    """Compare ``head`` with ``base``, figure by figure.

    Args:
        base: what was.
        head: what is.
        margin: how far times and memory may differ and still count as equal, symmetric in ratios.
        confidence: of intervals; 1 − confidence bounds the expected share of false verdicts.
        relative: compare times over vanilla's of the same round, so that what slows a whole machine
            drops out (and what slows vanilla too).
        ignore: conditions that may differ, such as ``"torch"``.

    Raises:
        NotComparable: if the files are of different kinds, were made under different conditions, or
            have no row in common.
        InvalidValue: for a margin or confidence out of range.
        UnknownName: if there is no condition of that name.
    """
    if not 0 <= margin < 1:
        raise InvalidValue(f"margin must be in [0%, 100%), got {margin:.4g}")
    if not 0.5 <= confidence < 1:
        raise InvalidValue(f"confidence must be in [50%, 100%), got {confidence:.4g}")
    check_alike(base, head, ignore)
    before, after = figures(base, relative=relative), figures(head, relative=relative)
    if set(before["row"]).isdisjoint(after["row"]):
        raise NotComparable(
            f"{base.path} and {head.path} have no row in common: "
            f"the first has {before['row'].iat[0]!r}, the second {after['row'].iat[0]!r}"
        )
    both = _side_by_side(before, after)
    _judge_sampled(both, margin, confidence)
    _judge_counted(both, margin)
    silent = both["verdict"].isna()
    notes = [*_notes(base), *_notes(head)]
    if silent.any():
        first = both[silent].iloc[0]
        notes.append(f"without a time on either side: {silent.sum()}, such as {first['row']}: {first['reason_head']}")
    notes += _common_shift(both)
    correlated = both[both["effective"] < both["sampled"] / 2]
    if len(correlated):
        worst = correlated.loc[(correlated["effective"] / correlated["sampled"]).idxmin()]
        notes.append(
            f"{len(correlated)} of {both['sampled'].notna().sum()} have samples that resemble their neighbours; their "
            f"intervals are wider for it ({worst['row']}: {worst['sampled']:.0f} tell as much as {worst['effective']:.0f})"
        )
    table = both.loc[~silent, list(ComparisonRow.__struct_fields__)].reset_index(drop=True)
    return Comparison(base=base, head=head, margin=margin, confidence=confidence, table=table, notes=tuple(notes))


def _side_by_side(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """One row a figure of either side, in the order of base, then of head."""
    on = ["row", "metric"]
    both = before.merge(after, on=on, how="outer", suffixes=("_base", "_head"), indicator=True, sort=False)
    order = pd.concat([before[on], after[on]]).drop_duplicates().reset_index(drop=True)
    both = order.merge(both, on=on, how="left")
    for name in (*IDENTITY, "test"):
        both[name] = both[f"{name}_base"].where(both["_merge"] != "right_only", both[f"{name}_head"])
    both = both.rename(columns={"value_base": "base", "value_head": "head"})
    one_sided = ~both["row"].isin(set(before["row"]) & set(after["row"]))
    # A row that only one side has is one line, whatever figures it has.
    both = both[~(one_sided & both.duplicated("row"))].reset_index(drop=True)
    both.loc[~both["row"].isin(set(before["row"]) & set(after["row"])), ["metric", "base", "head"]] = [
        "",
        None,
        None,
    ]
    for name in ("ratio", "low", "high", "p", "effective", "sampled"):
        both[name] = np.nan
    both["note"] = ""
    both["verdict"] = both["_merge"].map({"left_only": "removed", "right_only": "added"}).astype(object)
    return both


def _judge_sampled(both: pd.DataFrame, margin: float, confidence: float) -> None:
    open_ = both["verdict"].isna() & (both["test"] == "sampled")
    had, has = both["status_base"] == "ok", both["status_head"] == "ok"
    _set(both, open_ & had & (both["status_head"] == "wrong"), "regressed", both["reason_head"])
    _set(both, open_ & had & (both["status_head"] == "unavailable"), "inconclusive", both["reason_head"])
    _set(both, open_ & ~had & has, "added", "base: " + both["reason_base"].fillna(""))
    timed = both.index[open_ & had & has]
    if timed.empty:
        return
    base, head = both.loc[timed, "samples_base"].tolist(), both.loc[timed, "samples_head"].tolist()
    found = shifts(base, head, margin, confidence)
    q = 1 - confidence
    p = adjusted(found.p_differs)
    differs, equivalent = p <= q, adjusted(found.p_equivalent) <= q / 2
    known = np.isfinite(found.smallest)
    verdict = np.where(differs, np.where(found.ratio > 1, "regressed", "improved"), "inconclusive")
    verdict = np.where(equivalent & ~differs, "equivalent", verdict)
    pairs = [f"{len(b)} + {len(h)} samples" for b, h in zip(base, head, strict=True)]
    note = [
        "" if v != "inconclusive"
        else f"{n} could have shown {100 * (s - 1):+.1f}%" if k
        else f"{n} are too few for an interval"
        for v, n, s, k in zip(verdict, pairs, found.smallest, known, strict=True)
    ]  # fmt: skip
    values = {
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "p": p,
        "effective": found.effective,
    }
    for name, column in values.items():
        both.loc[timed, name] = column
    both.loc[timed, "sampled"] = [len(b) + len(h) for b, h in zip(base, head, strict=True)]
    both.loc[timed, "verdict"], both.loc[timed, "note"] = verdict, note


def _judge_counted(both: pd.DataFrame, margin: float) -> None:
    """Counts without tolerance; single readings, which repeat, against the margin."""
    counted = both.index[both["verdict"].isna() & both["test"].isin(["exact", "reading"])]
    base, head = both.loc[counted, "base"].tolist(), both.loc[counted, "head"].tolist()
    exact = (both.loc[counted, "test"] == "exact").tolist()
    left_out = zip(both.loc[counted, "reason_base"], both.loc[counted, "reason_head"], strict=True)
    verdicts, notes, ratios = [], [], []
    for b, h, is_exact, (without_b, without_h) in zip(base, head, exact, left_out, strict=True):
        allowed = 0.0 if is_exact else margin
        verdict = "regressed" if h > b * (1 + allowed) else "improved" if h * (1 + allowed) < b else "equivalent"
        note = f"{h - b:+,}" if h != b else ""
        if without_b != without_h:
            verdict, note = (
                "inconclusive",
                f"leaves out {without_b or 'nothing'} in base and {without_h or 'nothing'} in head",
            )
        verdicts.append(verdict)
        notes.append(note)
        ratios.append(h / b if b else 1.0 if h == b else np.inf)
    both.loc[counted, "verdict"], both.loc[counted, "note"] = verdicts, notes
    for name in ("ratio", "low", "high"):
        both.loc[counted, name] = ratios


def _set(both: pd.DataFrame, where: "pd.Series[bool]", verdict: Verdict, note: "pd.Series[str]") -> None:
    both.loc[where, "verdict"] = verdict
    both.loc[where, "note"] = note[where]


def _common_shift(both: pd.DataFrame) -> Iterator[str]:
    """Whether every time moved the same way, which a change of code seldom does and a machine often."""
    timed = both[both["sampled"].notna()]
    moved = set(timed["verdict"])
    if len(timed) >= 3 and len(moved) == 1 and moved <= {"regressed", "improved"}:
        yield (
            f"all {len(timed)} times {moved.pop()}, by {timed['ratio'].min():.3f} to {timed['ratio'].max():.3f}: if the code "
            "has not changed for all of them, it was the machine; measure both again in turns, or compare with --relative"
        )


def _notes(file: ResultFile) -> Iterator[str]:
    """Where a run could tell vanilla from itself, its order of calls or its machine was not fair."""
    for family in () if file.timing is None else file.timing.families:
        noise = family.vanilla_against_itself
        if noise is not None and not noise.contains(1):
            yield (
                f"{file.path}, {family.name}: vanilla against itself is {noise.low:.3f}–{noise.high:.3f}, "
                "not 1: differences of that size are that run's, not the code's"
            )
