"""The extraction of faces from a data set's videos, into a folder that the importer of the same kind reads.

Processes work in parallel, each on one video at a time. Existing images are skipped, so that an interrupted run
continues where it stopped; an image is either complete or absent. ``extract.json`` keeps the settings, and
``extract.jsonl`` lists frames without a face and videos that cannot be read, one JSON object a line.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from sfic_bench.data.faces import encoded
from sfic_bench.data.finders import DLIB, finder
from sfic_bench.data.importers import IMPORTERS, BadLayout
from sfic_bench.data.importers.layout import Video, read_json
from sfic_bench.data.sampling import ExtractionSettings
from sfic_bench.data.videos import UnreadableVideo, frames, length
from sfic_bench.errors import InvalidValue, MissingDependency, SficBenchError
from sfic_bench.extras import install_command
from sfic_bench.files import UnwritableOutput, write_atomically, write_bytes_atomically
from sfic_bench.processes import cores, start_worker

SETTINGS, LOG = "extract.json", "extract.jsonl"


class FailedExtraction(SficBenchError):
    """An extraction that cannot continue."""


@dataclass(frozen=True, kw_only=True)
class ExtractionJob:
    """One video to take faces out of.

    Attributes:
        name: the video's path in the data set.
        target: the folder of its images.
        faceless: indices of frames that are known to have no face.
    """

    video: Video
    name: str
    target: Path
    settings: ExtractionSettings
    faceless: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ExtractionOutcome:
    """The result of one video.

    Attributes:
        name: the video's path in the data set.
        written: number of new images.
        skipped: number of images that existed before.
        faceless: frames newly known to have no face, each with the reason.
        problem: why the video cannot be read; empty if it can.
    """

    name: str
    written: int = 0
    skipped: int = 0
    faceless: tuple[tuple[int, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ExtractionSummary:
    """The result of an extraction over all videos, with the counts of `ExtractionOutcome`.

    Attributes:
        faceless: number of frames without a face, also of earlier runs.
        unreadable: names of the videos that cannot be read, sorted.
    """

    videos: int
    written: int
    skipped: int
    faceless: int
    unreadable: tuple[str, ...]


def plan(folder: Path, out: Path, settings: ExtractionSettings) -> list[ExtractionJob]:
    """The jobs of an extraction into ``out``, which is created with the settings and with what the importer needs.

    Raises:
        MissingDependency: without PyAV, Pillow, or what the detector needs.
        UnusableDetector: for a file that is no detector.
        NoLandmarks: if faces are to be aligned and the detector finds no landmarks.
        BadLayout: if the data set is not laid out as its kind says, or has no videos.
        InvalidValue: if ``out`` has images that were made with other settings.
        UnwritableOutput: if ``out`` cannot be written.
    """
    check_installed()
    finder(settings.finder)
    importer = IMPORTERS[settings.kind]
    if not folder.is_dir():
        raise BadLayout(f"there is no folder {folder}")
    assert importer.videos is not None
    found = importer.videos(folder)
    if not found:
        raise BadLayout(f"{folder} has no videos where {settings.kind} keeps them")
    targets: dict[Path, Path] = {}
    for video in found:
        if (other := targets.setdefault(video.frames, video.path)) != video.path:
            raise BadLayout(f"{other} and {video.path} would have their frames in one folder; rename one")
    _prepare(folder, out, settings, importer.annotations)
    faceless: dict[str, set[int]] = {}
    for entry in _log_entries(out / LOG):
        if isinstance(frame := entry.get("frame"), int):
            faceless.setdefault(str(entry.get("video")), set()).add(frame)
    return [
        ExtractionJob(
            video=video,
            name=(name := video.path.relative_to(folder).as_posix()),
            target=out / video.frames,
            settings=settings,
            faceless=frozenset(faceless.get(name, ())),
        )
        for video in found
    ]


def check_installed() -> None:
    """Raise `MissingDependency` before any worker process would."""
    try:
        import av  # noqa: F401
        import PIL  # noqa: F401
    except ImportError:
        raise MissingDependency(
            f"taking faces out of videos needs PyAV and Pillow: {install_command('faces')}"
        ) from None


def extract(
    jobs: Sequence[ExtractionJob], out: Path, *, workers: int | None, progress: Callable[[str], None]
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
    workers = min(workers or cores(), max(len(jobs), 1))
    outcomes = []
    logged_problems = {e.get("video"): e.get("problem") for e in _log_entries(out / LOG) if "frame" not in e}
    if (out / LOG).exists() and not (out / LOG).read_bytes().endswith(b"\n"):
        _append(out / LOG, "\n")  # ends a line that was cut off, so that the next one is whole
    for outcome in map(take_faces, jobs) if workers == 1 else _in_processes(jobs, workers):
        _log(out / LOG, outcome, logged_problems.get(outcome.name))
        outcomes.append(outcome)
        progress(outcome.name)
    return ExtractionSummary(
        videos=len(jobs),
        written=sum(outcome.written for outcome in outcomes),
        skipped=sum(outcome.skipped for outcome in outcomes),
        faceless=sum(len(job.faceless) for job in jobs) + sum(len(outcome.faceless) for outcome in outcomes),
        unreadable=tuple(sorted(outcome.name for outcome in outcomes if outcome.problem)),
    )


def take_faces(job: ExtractionJob) -> ExtractionOutcome:
    """Write the images of one video that do not exist yet.

    Raises:
        UnwritableOutput: if an image cannot be written.
    """
    written, skipped, problem = 0, 0, ""
    faceless: list[tuple[int, str]] = []
    settings = job.settings
    try:
        indices = settings.sampling(job.video.label).indices(length(job.video.path).frames)
        files = {index: job.target / f"{index:06}{settings.format.suffix}" for index in indices}
        skipped = sum(file.exists() for file in files.values())
        left = {index for index, file in files.items() if index not in job.faceless and not file.exists()}
        if left:
            job.target.mkdir(parents=True, exist_ok=True)
            for frame in frames(job.video.path, frozenset(left)):
                left.discard(frame.index)
                found = finder(settings.finder).faces(frame.image)
                if not found:
                    faceless.append((frame.index, "no face"))
                    continue
                face = settings.crop.of(frame.image, found[0])
                write_bytes_atomically(files[frame.index], encoded(face, settings.format))
                written += 1
            faceless += [(index, "the video ends before this frame") for index in sorted(left)]
    except UnreadableVideo as error:
        problem = str(error)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {job.target}: {error.strerror or error}") from None
    return ExtractionOutcome(name=job.name, written=written, skipped=skipped, faceless=tuple(faceless), problem=problem)


def _in_processes(jobs: Sequence[ExtractionJob], workers: int) -> Iterator[ExtractionOutcome]:
    # Processes are spawned, since a fork would copy locks that other threads hold. Ctrl-C ends each at once and without
    # a traceback; the files that they leave half-written have temporary names.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), start_worker)
    try:
        for future in as_completed([pool.submit(take_faces, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool:
        raise FailedExtraction(
            "a worker process was killed, perhaps because memory ran out; the same command with fewer --workers "
            "continues from here"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


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
    values = dataclasses.asdict(settings)
    if (out / SETTINGS).exists():
        # Older versions knew only dlib and wrote neither.
        older: dict[str, object] = {"detector": DLIB, "align": False}
        old_values = older | read_json(out / SETTINGS, dict[str, object], "the settings of an extraction")
        for key, value in values.items():
            if old_values.get(key) != value:
                raise InvalidValue(
                    f"{out} has faces made with {key} {old_values.get(key)}, now {value}; name another folder, "
                    f"or give the same options to continue"
                )
    write_atomically(out / SETTINGS, json.dumps(values, indent=1) + "\n")


def _log_entries(path: Path) -> Iterator[dict[str, object]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # a line that was cut off when a run was killed
            continue
        if isinstance(entry, dict):
            yield entry


def _log(path: Path, outcome: ExtractionOutcome, logged_problem: object) -> None:
    """Append what is new about a video, for which ``logged_problem`` may be in the log already."""
    entries: list[dict[str, object]] = [{"frame": index, "problem": reason} for index, reason in outcome.faceless]
    if outcome.problem and outcome.problem != logged_problem:
        entries.append({"problem": outcome.problem})
    _append(path, "".join(json.dumps({"video": outcome.name, **entry}) + "\n" for entry in entries))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UnwritableOutput(f"cannot write {path}: {error.strerror or error}") from None
