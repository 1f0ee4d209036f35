"""Faces out of a data set's videos, into a folder that the importer of the same kind of data set reads.

Processes work in parallel, each on one video at a time. Existing images are skipped, so that an interrupted run
continues where it stopped; an image is either complete or absent. ``extract.json`` keeps the settings, and
``extract.jsonl`` lists frames without a face and videos that cannot be read, one JSON object a line.
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

from sfic_bench.data import faces
from sfic_bench.data.faces import UnreadableVideo
from sfic_bench.data.importers import IMPORTERS, BadLayout
from sfic_bench.data.importers.layout import read_json
from sfic_bench.data.sampling import ExtractionSettings
from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.results.files import UnwritableOutput, write_atomically, write_bytes_atomically

SETTINGS, LOG = "extract.json", "extract.jsonl"

NO_FACE, NO_FRAME = "no face", "the video ends before this frame"


class FailedExtraction(SficBenchError):
    """An extraction that cannot go on."""


@dataclass(frozen=True, kw_only=True)
class ExtractionJob:
    """One video to take faces out of.

    Attributes:
        video: the file.
        name: its path in the data set.
        target: the folder of its images.
        label: 1 for fake.
        settings: how faces are taken.
        without: indices of frames that are known to have no face.
    """

    video: Path
    name: str
    target: Path
    label: int
    settings: ExtractionSettings
    without: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ExtractionOutcome:
    """The result of one video.

    Attributes:
        name: the video's path in the data set.
        written: number of new images.
        skipped: number of images that existed before.
        without: frames newly known to have no face, each with the reason.
        problem: why the video cannot be read; empty if it can.
    """

    name: str
    written: int = 0
    skipped: int = 0
    without: tuple[tuple[int, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ExtractionSummary:
    """The result of an extraction over all videos.

    Attributes:
        videos: number of videos.
        written: number of new images.
        skipped: number of images that existed before.
        without: number of frames without a face, also of earlier runs.
        unreadable: names of the videos that cannot be read, sorted.
    """

    videos: int
    written: int
    skipped: int
    without: int
    unreadable: tuple[str, ...]


def plan(folder: Path, out: Path, settings: ExtractionSettings) -> list[ExtractionJob]:
    """The jobs of an extraction.

    The folder ``out`` is created, with the settings and with copies of the files that the importer needs.

    Raises:
        MissingDependency: without PyAV, dlib or Pillow.
        BadLayout: if the data set is not laid out as its kind says, or has no videos.
        InvalidValue: if ``out`` has images that were made with other settings.
        UnwritableOutput: if ``out`` cannot be written.
    """
    faces.check_installed()
    importer = IMPORTERS[settings.kind]
    if not folder.is_dir():
        raise BadLayout(f"there is no folder {folder}")
    assert importer.videos is not None
    videos = importer.videos(folder)
    if not videos:
        raise BadLayout(f"{folder} has no videos where {settings.kind} keeps them")
    targets: dict[Path, Path] = {}
    for video in videos:
        if (other := targets.setdefault(video.frames, video.path)) != video.path:
            raise BadLayout(f"{other} and {video.path} would have their frames in one folder; rename one")
    _prepare(folder, out, settings, importer.annotations)
    without: dict[str, set[int]] = {}
    for entry in _logged(out / LOG):
        if isinstance(frame := entry.get("frame"), int):
            without.setdefault(str(entry.get("video")), set()).add(frame)
    return [
        ExtractionJob(
            video=video.path,
            name=(name := video.path.relative_to(folder).as_posix()),
            target=out / video.frames,
            label=video.label,
            settings=settings,
            without=frozenset(without.get(name, ())),
        )
        for video in videos
    ]


def extract(
    jobs: Sequence[ExtractionJob],
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ExtractionSummary:
    """Take the faces of all ``jobs``, and log frames without a face and videos that cannot be read.

    Args:
        jobs: from `plan`.
        out: the folder that was given to `plan`.
        workers: number of processes; as many as cores if not given. With 1, this process does the work.
        progress: called with each video's name when it is done.

    Raises:
        FailedExtraction: if a worker was killed.
        UnwritableOutput: if an image or the log cannot be written.
    """
    workers = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    outcomes = []
    known = {e.get("video"): e.get("problem") for e in _logged(out / LOG) if "frame" not in e}
    _end_line(out / LOG)
    for outcome in map(take_faces, jobs) if workers == 1 else _in_processes(jobs, workers):
        _log(out / LOG, outcome, known.get(outcome.name))
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome.name)
    return ExtractionSummary(
        videos=len(jobs),
        written=sum(outcome.written for outcome in outcomes),
        skipped=sum(outcome.skipped for outcome in outcomes),
        without=sum(len(job.without) for job in jobs) + sum(len(outcome.without) for outcome in outcomes),
        unreadable=tuple(sorted(outcome.name for outcome in outcomes if outcome.problem)),
    )


def take_faces(job: ExtractionJob) -> ExtractionOutcome:
    """Write the images of one video that do not exist yet.

    Raises:
        UnwritableOutput: if an image cannot be written.
    """
    written, problem, skipped = 0, "", 0
    without: list[tuple[int, str]] = []
    settings = job.settings
    try:
        indices = settings.sampling(job.label).indices(faces.count_frames(job.video))
        files = {index: job.target / f"{index:06}{settings.format.suffix}" for index in indices}
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
                data = faces.crop(image, box, enlarge=settings.enlarge, size=settings.size, format=settings.format)
                write_bytes_atomically(files[index], data)
                written += 1
            without += [(index, NO_FRAME) for index in sorted(left)]
    except UnreadableVideo as error:
        problem = str(error)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {job.target}: {error.strerror or error}") from None
    return ExtractionOutcome(name=job.name, written=written, skipped=skipped, without=tuple(without), problem=problem)


def _in_processes(jobs: Sequence[ExtractionJob], workers: int) -> Iterator[ExtractionOutcome]:
    # Processes are spawned, since a fork would copy locks that other threads hold.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_die_quietly)
    try:
        for done in as_completed([pool.submit(take_faces, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool:
        raise FailedExtraction(
            "a worker was killed, perhaps for want of memory; run the same command with fewer --workers: "
            "it goes on where it was"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _die_quietly() -> None:
    # Ctrl-C ends a worker at once and without a traceback. Half-written files have temporary names.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _prepare(folder: Path, out: Path, settings: ExtractionSettings, annotations: Sequence[str]) -> None:
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


def _logged(path: Path) -> Iterator[dict[str, object]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # a line that was cut off when a run was killed
            continue
        if isinstance(entry, dict):
            yield entry


def _end_line(path: Path) -> None:
    """End a last line that was cut off, so that the next one is whole."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        _append(path, "\n")


def _log(path: Path, outcome: ExtractionOutcome, known: object) -> None:
    """Append what is new about a video; ``known`` is the problem that is already logged for it, if there is any."""
    entries: list[dict[str, object]] = [
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
