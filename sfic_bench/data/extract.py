"""Faces out of a data set's videos, into a folder that the same data set's importer reads.

In parallel, one video a process at a time. What exists is skipped, so that an interrupted run goes on where it was; images are
whole or not there. ``extract.json`` keeps what they were made with, and ``extract.jsonl`` lists frames without a face and
videos that cannot be read, one JSON object a line.
"""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sfic_bench.data import faces
from sfic_bench.data.faces import UnreadableVideo
from sfic_bench.data.importers import BadLayout, kind_named
from sfic_bench.data.importers.layout import read_json
from sfic_bench.data.sampling import FORMATS, Settings
from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.report.files import UnwritableOutput, write_atomically, write_bytes_atomically

SETTINGS, LOG = "extract.json", "extract.jsonl"

NO_FACE, NO_FRAME = "no face", "the video ends before this frame"


class FailedExtraction(SficBenchError):
    """A run that cannot go on."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One video: its ``name`` in the data set, where its images go, and which frames are known to have no face."""

    video: Path
    name: str
    target: Path
    label: int
    settings: Settings
    without: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a video: images written and skipped, frames without a face (new ones, by reason), what went wrong."""

    name: str
    written: int = 0
    skipped: int = 0
    without: tuple[tuple[int, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Of a run: ``written`` and ``skipped`` images, frames that have no face by now, videos that cannot be read."""

    videos: int
    written: int
    skipped: int
    without: int
    unreadable: tuple[str, ...]


def plan(folder: Path, out: Path, settings: Settings) -> list[Job]:
    """What there is to do; makes ``out``, its settings and copies of the files that the importer needs there.

    Raises:
        MissingDependency: without PyAV, dlib or Pillow.
        BadLayout: if the data set is not laid out as its kind says, or has no videos.
        InvalidValue: if ``out`` has images that were made in another way.
        UnwritableOutput: if ``out`` cannot be written.
    """
    faces.check_installed()
    kind = kind_named(settings.kind)
    if not folder.is_dir():
        raise BadLayout(f"there is no folder {folder}")
    assert kind.videos is not None
    videos = kind.videos(folder)
    if not videos:
        raise BadLayout(f"{folder} has no videos where {settings.kind} keeps them")
    targets: dict[Path, Path] = {}
    for video in videos:
        if (other := targets.setdefault(video.frames, video.path)) != video.path:
            raise BadLayout(f"{other} and {video.path} would have their frames in one folder; rename one")
    _prepare(folder, out, settings, kind.annotations)
    without: dict[str, set[int]] = {}
    for entry in _logged(out / LOG):
        if isinstance(entry.get("frame"), int):
            without.setdefault(str(entry.get("video")), set()).add(entry["frame"])
    jobs = []
    for video in videos:
        name = video.path.relative_to(folder).as_posix()
        known = frozenset(without.get(name, ()))
        jobs.append(
            Job(
                video=video.path,
                name=name,
                target=out / video.frames,
                label=video.label,
                settings=settings,
                without=known,
            )
        )
    return jobs


def extract(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Summary:
    """Do what `plan` found, and log what has no face or cannot be read.

    Args:
        jobs: from `plan`.
        out: the folder given there.
        workers: processes; as many as cores if not given. With 1, this process does it.
        progress: called with each video's name when it is done.

    Raises:
        FailedExtraction: if a worker was killed.
        UnwritableOutput: if an image or the log cannot be written.
    """
    workers = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    written = skipped = 0
    without = sum(len(job.without) for job in jobs)
    unreadable = []
    known = {str(e.get("video")): e.get("problem") for e in _logged(out / LOG) if "frame" not in e}
    _end_line(out / LOG)
    for outcome in map(take_faces, jobs) if workers == 1 else _in_processes(jobs, workers):
        _log(out / LOG, outcome, known.get(outcome.name))
        written += outcome.written
        skipped += outcome.skipped
        without += len(outcome.without)
        if outcome.problem:
            unreadable.append(outcome.name)
        if progress is not None:
            progress(outcome.name)
    return Summary(
        videos=len(jobs),
        written=written,
        skipped=skipped,
        without=without,
        unreadable=tuple(sorted(unreadable)),
    )


def take_faces(job: Job) -> Outcome:
    """Write the faces of one video that are not there yet.

    Raises:
        UnwritableOutput: if an image cannot be written.
    """
    written, problem, skipped = 0, "", 0
    without: list[tuple[int, str]] = []
    settings = job.settings
    try:
        wanted = settings.sampling(job.label).indices(faces.count_frames(job.video))
        files = {index: job.target / f"{index:06}{FORMATS[settings.format]}" for index in wanted}
        skipped = sum(file.exists() for file in files.values())
        left = {i for i, file in files.items() if i not in job.without and not file.exists()}
        if left:
            job.target.mkdir(parents=True, exist_ok=True)
            for index, image in faces.frames(job.video, frozenset(left)):
                left.discard(index)
                box = faces.largest_face(image, settings.upsample)
                if box is None:
                    without.append((index, NO_FACE))
                    continue
                data = faces.crop(
                    image, box, enlarge=settings.enlarge, size=settings.size, format=settings.format
                )
                write_bytes_atomically(files[index], data)
                written += 1
            without += [(index, NO_FRAME) for index in sorted(left)]
    except UnreadableVideo as error:
        problem = str(error)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {job.target}: {error.strerror or error}") from None
    return Outcome(name=job.name, written=written, skipped=skipped, without=tuple(without), problem=problem)


def _in_processes(jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    # Fresh processes: a fork would copy the locks of whatever threads there are.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_die_quietly)
    try:
        for done in as_completed([pool.submit(take_faces, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool:
        raise FailedExtraction(
            "a worker was killed, perhaps for want of memory; run the same command with fewer --workers: it goes on where it was"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _die_quietly() -> None:
    # At once and without a traceback; what is half written has another name.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _prepare(folder: Path, out: Path, settings: Settings, annotations: Sequence[str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if out.resolve() != folder.resolve():
            for path in (p for pattern in annotations for p in folder.glob(pattern)):
                copy = out / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {out}: {error.strerror or error}") from None
    now = dataclasses.asdict(settings)
    if (out / SETTINGS).exists():
        before = read_json(out / SETTINGS)
        before = before if isinstance(before, dict) else {}
        for key, value in now.items():
            if before.get(key) != value:
                raise InvalidValue(
                    f"{out} has faces made with {key} {before.get(key)}, now {value}; name another folder, "
                    f"or give the same options to go on"
                )
    write_atomically(out / SETTINGS, json.dumps(now, indent=1) + "\n")


def _logged(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # cut off when a run was killed
            continue
        if isinstance(entry, dict):
            yield entry


def _end_line(path: Path) -> None:
    """End a last line that was cut off, so that the next one is whole."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        _append(path, "\n")


def _log(path: Path, outcome: Outcome, known: str | None) -> None:
    """Append what is new; ``known`` is what is logged of the video as a whole."""
    entries: list[dict[str, Any]] = [
        {"video": outcome.name, "frame": index, "problem": problem} for index, problem in outcome.without
    ]
    if outcome.problem and outcome.problem != known:
        entries.append({"video": outcome.name, "problem": outcome.problem})
    _append(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from None
