"""Scored photographs and videos as tables."""

from collections.abc import Sequence

from sfic_bench.reporting.cells import number
from sfic_bench.reporting.columns import INTERVAL, Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.predictions import FaceBox, FrameRow, Prediction, PredictionsResult

BOX = "box: left,top width×height of the detector's box, in pixels of the upright picture"


def prediction_tables(result: PredictionsResult, *, per_frame: bool) -> list[Table]:
    """A table with a row for each face and video, and with ``per_frame`` one of all frames of videos."""
    columns = (
        Cells[Prediction]("file", lambda row: row.path, number=False),
        Cells[Prediction]("face", lambda row: "" if row.face is None else str(row.face)),
        Cells[Prediction]("box", lambda row: _box(row.box), number=False, rank=2),
        Cells[Prediction]("fake", lambda row: number(row.fake, ".4f"), always=True),
        Cells[Prediction](INTERVAL, _bounds),
        Cells[Prediction]("frames", lambda row: "" if row.frames is None else f"{row.frames}/{row.asked}", rank=1),
        Cells[Prediction]("verdict", lambda row: row.verdict or "", number=False),
        Cells[Prediction]("remark", lambda row: row.remark, number=False),
    )
    tables = [tabulated("Probability of fake", columns, result.rows, notes=_notes(result))]
    if per_frame and (frames := frame_rows(result.rows)):
        tables.append(_frames(frames))
    return tables


def frame_rows(rows: Sequence[Prediction]) -> list[FrameRow]:
    """The frames of all videos, each with its video's path."""
    return [
        FrameRow(path=row.path, frame=f.frame, time_s=f.time_s, fake=f.fake, box=f.box)
        for row in rows
        for f in row.curve
    ]


def _frames(rows: Sequence[FrameRow]) -> Table:
    columns = (
        Cells[FrameRow]("file", lambda row: row.path, number=False),
        Cells[FrameRow]("frame", lambda row: str(row.frame)),
        Cells[FrameRow]("time s", lambda row: number(row.time_s)),
        Cells[FrameRow]("box", lambda row: _box(row.box), number=False),
        Cells[FrameRow]("fake", lambda row: number(row.fake, ".4f"), always=True),
    )
    notes = ["no face was found in a frame that has no value for fake", BOX] if any(row.box for row in rows) else []
    return tabulated("Frames", columns, rows, group_by=lambda row: row.path, notes=notes)


def _notes(result: PredictionsResult) -> list[str]:
    what = "whole pictures" if result.detector is None else f"faces found by {result.detector}"
    value = f"{result.threshold:g}"
    threshold = value if result.threshold_name == value else f"{value}, the threshold {result.threshold_name}"
    notes = [f"{what}, scored by {result.run}; the verdict is fake above {threshold}"]
    if any(row.box for row in result.rows):
        notes.append(BOX)
    if any(row.kind == "video" and row.fake is not None for row in result.rows):
        notes.append(
            "a video's score is the mean of its frames'; its interval is of other frames of the same video, and says "
            "nothing of how often the network is right"
        )
    return notes


def _box(box: FaceBox | None) -> str:
    return "" if box is None else f"{box.left},{box.top} {box.right - box.left}×{box.bottom - box.top}"


def _bounds(row: Prediction) -> str:
    return "" if row.low is None or row.high is None else f"{row.low:.3f}–{row.high:.3f}"
