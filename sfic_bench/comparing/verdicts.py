"""Whether a head is better or worse than its base: counts are compared exactly, times and scores by tests.

docs/comparing.md states the rules and what they assume.
"""

import math
from collections.abc import Callable, Collection, Iterator

import numpy as np
import pandas as pd
from msgspec import json
from numpy.typing import NDArray

from sfic_bench.comparing.alike import NotComparable, check_alike
from sfic_bench.comparing.figures import IDENTITY, figures
from sfic_bench.errors import InvalidValue
from sfic_bench.results.comparison import VERDICTS, ComparisonResult, ComparisonRow, Source, Verdict
from sfic_bench.results.read import ResultFile
from sfic_bench.statistics.normal_test import shifts_of_intervals
from sfic_bench.statistics.rank_test import Shifts, adjusted, least_samples, shifts

MOST_MORE = 1000
"""The factor up to which an inconclusive verdict suggests more data."""


def compare(
    base: ResultFile,
    head: ResultFile,
    *,
    margin: float = 0.02,
    confidence: float = 0.95,
    relative: bool = False,
    ignore: Collection[str] = (),
) -> ComparisonResult:
    """Compare ``head`` with ``base``, figure by figure.

    Args:
        base: the older file.
        head: the newer file.
        margin: how far times, memory and scores may differ and still count as equal, symmetric in ratios.
        confidence: of intervals; 1 − confidence bounds the expected share of false verdicts.
        relative: compare times over vanilla's of the same round, so that a disturbance of the whole machine drops out,
            and so does a change of vanilla itself.
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
    for file, frame in ((base, before), (head, after)):
        if frame.empty:
            raise NotComparable(f"{file.path} has no score with an interval: score more videos")
    if set(before["row"]).isdisjoint(after["row"]):
        raise NotComparable(
            f"{base.path} and {head.path} have no row in common: "
            f"the first has {before['row'].iat[0]!r}, the second {after['row'].iat[0]!r}"
        )
    both = _side_by_side(before, after)
    _judge_sampled(both, margin, confidence)
    _judge_scores(both, margin, confidence)
    _judge_counted(both, margin)
    judged = both["verdict"].notna()
    columns = list(ComparisonRow.__struct_fields__)
    text = both.loc[judged, columns].to_json(orient="records", double_precision=15)
    rows = json.decode(text, type=list[ComparisonRow])
    verdicts = [row.verdict for row in rows]
    return ComparisonResult(
        base=Source(path=str(base.path), kind=base.kind, environment=base.environment),
        head=Source(path=str(head.path), kind=head.kind, environment=head.environment),
        margin=margin,
        confidence=confidence,
        verdict=next((verdict for verdict in VERDICTS[:3] if verdict in verdicts), "equivalent"),
        counts={verdict: verdicts.count(verdict) for verdict in VERDICTS},
        notes=[*_same_file_note(base, head), *_noise_notes(base), *_noise_notes(head), *_table_notes(both)],
        rows=rows,
    )


def _side_by_side(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """One row for each figure of either side, in the order of base, then of head."""
    on = ["row", "metric"]
    both = before.merge(after, on=on, how="outer", suffixes=("_base", "_head"), indicator=True, sort=False)
    order = pd.concat([before[on], after[on]]).drop_duplicates().reset_index(drop=True)
    both = order.merge(both, on=on, how="left").rename(columns={"value_base": "base", "value_head": "head"})
    for name in (*IDENTITY, "test"):
        both[name] = both[f"{name}_base"].where(both["_merge"] != "right_only", both[f"{name}_head"])
    # A row that only one side has becomes one line, however many figures it has.
    one_sided = ~both["row"].isin(set(before["row"]) & set(after["row"]))
    both.loc[one_sided, ["metric", "base", "head"]] = ["", None, None]
    both = both[~(one_sided & both.duplicated("row"))].reset_index(drop=True)
    both[["ratio", "low", "high", "p", "effective", "sampled"]] = np.nan
    both["note"] = ""
    both["verdict"] = both["_merge"].map({"left_only": "removed", "right_only": "added"}).astype(object)
    return both


def _judge_sampled(both: pd.DataFrame, margin: float, confidence: float) -> None:
    open_ = both["verdict"].isna() & (both["test"] == "sampled")
    base_ok, head_ok = both["status_base"] == "ok", both["status_head"] == "ok"
    _set(both, open_ & base_ok & (both["status_head"] == "wrong"), "regressed", both["reason_head"])
    _set(both, open_ & base_ok & (both["status_head"] == "unavailable"), "inconclusive", both["reason_head"])
    _set(both, open_ & ~base_ok & head_ok, "added", "base: " + both["reason_base"].fillna(""))
    timed = both.index[open_ & base_ok & head_ok]
    if timed.empty:
        return
    base, head = both.loc[timed, "samples_base"].tolist(), both.loc[timed, "samples_head"].tolist()
    shift = shifts(base, head, margin, confidence)
    few = least_samples(confidence)

    def open_note(i: int) -> str:
        b, h, smallest, factor = len(base[i]), len(head[i]), shift.smallest[i], shift.factor[i]
        if np.isfinite(smallest):
            more = f"{_rounded(b * factor)} + {_rounded(h * factor)} samples"
            return f"{b} + {h} samples could have shown {100 * (smallest - 1):+.1f}%; {_remedy(factor, more)}"
        if min(b, h) < few:
            return f"{b} + {h} samples are too few for an interval: take at least {few} + {few}"
        return f"{b} + {h} samples resemble their neighbours too much for an interval: take more"

    _decide(both, timed, shift, confidence, worse=shift.ratio > 1, open_note=open_note)
    both.loc[timed, "effective"] = shift.effective
    both.loc[timed, "sampled"] = [len(b) + len(h) for b, h in zip(base, head, strict=True)]


def _judge_scores(both: pd.DataFrame, margin: float, confidence: float) -> None:
    """Judge scores, of which more is better, by their intervals."""
    scored = both.index[both["verdict"].isna() & (both["test"] == "interval")]
    if scored.empty:
        return
    base, head = both.loc[scored, "interval_base"].tolist(), both.loc[scored, "interval_head"].tolist()
    shift = shifts_of_intervals(base, head, margin, confidence)

    def open_note(i: int) -> str:
        smallest, factor = shift.smallest[i], shift.factor[i]
        return f"these intervals could have shown {100 * (1 / smallest - 1):+.1f}%; " + _remedy(
            factor, f"{factor:.2g} times as many videos"
        )

    _decide(both, scored, shift, confidence, worse=shift.ratio < 1, open_note=open_note)


def _decide(
    both: pd.DataFrame,
    rows: "pd.Index[int]",
    shift: Shifts,
    confidence: float,
    *,
    worse: NDArray[np.bool_],
    open_note: Callable[[int], str],
) -> None:
    """Give ``rows`` their verdicts, and those that stay inconclusive the note of their position in ``rows``."""
    q = 1 - confidence
    p = adjusted(shift.p_differs)
    differs, equivalent = p <= q, adjusted(shift.p_equivalent) <= q / 2
    verdict = np.where(differs, np.where(worse, "regressed", "improved"), "inconclusive")
    verdict = np.where(equivalent & ~differs, "equivalent", verdict)
    note = [open_note(i) if v == "inconclusive" else "" for i, v in enumerate(verdict)]
    columns = {"ratio": shift.ratio, "low": shift.low, "high": shift.high, "p": p, "verdict": verdict, "note": note}
    for name, column in columns.items():
        both.loc[rows, name] = column


def _remedy(factor: float, more: str) -> str:
    """What would settle an open verdict: ``factor`` times as much data, or another margin if that is too much."""
    if factor > MOST_MORE:
        return "the ratio lies so near the margin that another --margin settles it sooner than more data"
    return f"about {more} would settle it"


def _rounded(number: float) -> str:
    """``number`` to two digits."""
    digits = max(0, math.floor(math.log10(number)) - 1) if number >= 1 else 0
    return f"{math.ceil(number / 10**digits) * 10**digits:,}"


def _judge_counted(both: pd.DataFrame, margin: float) -> None:
    """Judge counts without tolerance, and single readings, which repeat, against the margin."""
    counted = both.index[both["verdict"].isna() & both["test"].isin(["exact", "reading"])]
    fields = ["base", "head", "test", "reason_base", "reason_head"]
    verdicts, notes, ratios = [], [], []
    for b, h, test, without_b, without_h in zip(*(both.loc[counted, name].tolist() for name in fields), strict=True):
        allowed = 0.0 if test == "exact" else margin
        verdict = "regressed" if h > b * (1 + allowed) else "improved" if h * (1 + allowed) < b else "equivalent"
        note = f"{h - b:+,}" if h != b else ""
        if without_b != without_h:
            verdict = "inconclusive"
            note = f"leaves out {without_b or 'nothing'} in base and {without_h or 'nothing'} in head"
        verdicts.append(verdict)
        notes.append(note)
        ratios.append(h / b if b else 1.0 if h == b else np.inf)
    both.loc[counted, "verdict"], both.loc[counted, "note"] = verdicts, notes
    for name in ("ratio", "low", "high"):
        both.loc[counted, name] = ratios


def _set(both: pd.DataFrame, where: "pd.Series[bool]", verdict: Verdict, note: "pd.Series[str]") -> None:
    both.loc[where, "verdict"] = verdict
    both.loc[where, "note"] = note[where]


def _table_notes(both: pd.DataFrame) -> Iterator[str]:
    """Notes on rows without a time, times that all moved the same way, and samples that resemble their neighbours."""
    without = both[both["verdict"].isna()]
    if len(without):
        first = without.iloc[0]
        yield f"without a time on either side: {len(without)}, such as {first['row']}: {first['reason_head']}"
    timed = both[both["sampled"].notna()]
    moved = set(timed["verdict"])
    if len(timed) >= 3 and len(moved) == 1 and moved <= {"regressed", "improved"}:
        yield (
            f"all {len(timed)} times {moved.pop()}, by {timed['ratio'].min():.3f} to {timed['ratio'].max():.3f}: if "
            "the code has not changed for all of them, it was the machine; measure both again in turns, or compare "
            "with --relative"
        )
    correlated = timed[timed["effective"] < timed["sampled"] / 2]
    if len(correlated):
        worst = correlated.loc[(correlated["effective"] / correlated["sampled"]).idxmin()]
        yield (
            f"{len(correlated)} of {len(timed)} have samples that resemble their neighbours; their intervals are wider "
            f"for it ({worst['row']}: {worst['sampled']:.0f} tell as much as {worst['effective']:.0f})"
        )


def _same_file_note(base: ResultFile, head: ResultFile) -> Iterator[str]:
    if base.path.resolve() == head.path.resolve():
        yield "base and head are one file: nothing can differ, and an inconclusive row has too few or too noisy samples"


def _noise_notes(file: ResultFile) -> Iterator[str]:
    """A note on each family whose vanilla differs from itself: the order of calls or the machine was not fair."""
    for family in () if file.timing is None else file.timing.families:
        noise = family.vanilla_against_itself
        if noise is not None and not noise.contains(1):
            yield (
                f"{file.path}, {family.name}: vanilla against itself is {noise.low:.3f}–{noise.high:.3f}, "
                "not 1: differences of that size are that run's, not the code's"
            )
