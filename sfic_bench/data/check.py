"""The check of a manifest before it is used, for unusable files, splits that leak, and missing classes."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pandas as pd
from msgspec import Struct

from sfic_bench.data.choices import SplitName
from sfic_bench.data.images import MissingImage, UnreadableImage, decode_image, read_image
from sfic_bench.data.importers import identities
from sfic_bench.data.manifest import ON_THE_FLY, Manifest, frame_keys
from sfic_bench.processes import cores
from sfic_bench.results.shown import Shown

CHUNK = 1024
"""The number of images that are handed to the threads at a time."""

TASK = 16
"""The number of images that a thread reads in one task."""

ProblemName = Literal[
    "missing file", "unreadable file", "one class", "empty split",
    "video in splits", "identity in splits", "identical files", "frame in splits",
]  # fmt: skip

Place = tuple[str, str, str, str]
"""Where a video, a person or a file's content occurs: data set, name, split and path."""


class Balance(Struct, frozen=True, kw_only=True):
    """How many images and videos of each class a split has."""

    split: str
    real: int
    fake: int
    real_videos: int
    fake_videos: int


class UnreadableFile(Struct, frozen=True, kw_only=True):
    """A file that is no usable image."""

    path: str
    reason: str


class SharedBySplits(Struct, frozen=True, kw_only=True):
    """A video, a person or a file's content that occurs in more than one split.

    Attributes:
        name: the name of the video or person, or a hash of the content.
        dataset: the data set; empty for a file's content.
        splits: the splits, and in ``paths`` the first path in each of them.
    """

    name: str
    dataset: str
    splits: tuple[str, ...]
    paths: tuple[str, ...]


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong; ``path`` is that of the file or of the manifest."""

    what: ProblemName
    path: str
    detail: str


class Findings(Struct, frozen=True, kw_only=True):
    """The result of `check`.

    Attributes:
        images: the number of rows.
        balance: the balance of each split, also of an empty one.
        missing: paths without a file.
        one_class: splits with only real or only fake images, on which no AUC exists.
        videos: videos in more than one split.
        identities: people in more than one split, where the names of videos say who is in them, and groups of videos.
        identical: byte-identical files in more than one split.
        frames: frames whose compressions are in more than one split.
        notes: remarks that are no problems.
    """

    manifest: str
    images: int
    balance: tuple[Balance, ...]
    missing: tuple[str, ...]
    unreadable: tuple[UnreadableFile, ...]
    one_class: tuple[str, ...]
    empty: tuple[str, ...]
    videos: tuple[SharedBySplits, ...]
    identities: tuple[SharedBySplits, ...]
    identical: tuple[SharedBySplits, ...]
    frames: tuple[SharedBySplits, ...]
    notes: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, each with a path; none if the manifest can be used as it is.

        An empty split is a problem if there are images to train on, since choosing an epoch needs ``val`` and a score
        needs ``test``. A manifest without a training split is one to test on, and needs no other split.
        """
        return tuple(self._problems())

    def _problems(self) -> Iterator[Problem]:
        for path in self.missing:
            yield Problem(what="missing file", path=path, detail="there is no such file")
        for file in self.unreadable:
            yield Problem(what="unreadable file", path=file.path, detail=file.reason)
        if SplitName.TRAIN not in self.empty:
            for split in self.empty:
                yield Problem(what="empty split", path=self.manifest, detail=f"{split} has no images")
        for balance in self.balance:
            if balance.split in self.one_class:
                detail = f"{balance.split} has only {'fake' if balance.fake else 'real'} images"
                yield Problem(what="one class", path=self.manifest, detail=detail)
        leaks: tuple[tuple[ProblemName, tuple[SharedBySplits, ...]], ...] = (
            ("video in splits", self.videos),
            ("identity in splits", self.identities),
            ("frame in splits", self.frames),
        )
        for what, leaking in leaks:
            for shared in leaking:
                detail = f"{shared.dataset} {shared.name} in {' and '.join(shared.splits)}"
                yield Problem(what=what, path=shared.paths[0], detail=detail)
        for shared in self.identical:
            copies = ", ".join(f"{p} ({s})" for s, p in zip(shared.splits[1:], shared.paths[1:], strict=True))
            detail = f"in {shared.splits[0]}, has the same bytes as {copies}"
            yield Problem(what="identical files", path=shared.paths[0], detail=detail)


class DataCheckResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/data-check/2"):
    """What ``data check`` writes: the findings, and the problems that follow from them, also counted by name."""

    findings: Findings
    counts: dict[ProblemName, int]
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, findings: Findings) -> "DataCheckResult":
        problems = findings.problems
        return cls(findings=findings, counts=dict(Counter(problem.what for problem in problems)), problems=problems)


def check(
    manifest: Manifest,
    *,
    read: bool = True,
    progress: Callable[[int], object] | None = None,
    workers: int | None = None,
) -> Findings:
    """Read every image of ``manifest`` once, and look for problems that would spoil a training or a score.

    Args:
        manifest: the manifest; images that are made on the fly (``orl:``) are not read.
        read: whether the images are read; if not, only the table is checked.
        progress: called with the number of images that were read since the last call, in the calling thread.
        workers: number of threads that read; as many as there are cores if not given.
    """
    frame = manifest.frame
    missing: list[str] = []
    unreadable: list[UnreadableFile] = []
    hashes: list[Place] = []
    paths: list[str] = frame["path"].astype(str).tolist() if read else []
    outcomes = _read(manifest.folder, paths, workers, progress)
    for path, split, outcome in zip(paths, frame["split"] if read else (), outcomes, strict=True):
        if isinstance(outcome, MissingImage):
            missing.append(path)
        elif isinstance(outcome, UnreadableImage):
            unreadable.append(UnreadableFile(path=path, reason=outcome.reason))
        elif outcome:
            hashes.append(("", outcome, split, path))
    keys = frame_keys(frame) if frame["compression"].nunique() > 1 else frame["path"]
    balance = tuple(_balance(manifest, split.value) for split in SplitName)
    empty = tuple(b.split for b in balance if not b.real and not b.fake)
    rows = frame.drop_duplicates(["dataset", "video", "split"])
    places: list[Place] = list(zip(rows["dataset"], rows["video"], rows["split"], rows["path"], strict=True))
    return Findings(
        manifest=manifest.name,
        images=len(frame),
        balance=balance,
        missing=tuple(missing),
        unreadable=tuple(unreadable),
        one_class=tuple(b.split for b in balance if bool(b.real) != bool(b.fake)),
        empty=empty,
        videos=_in_several(places),
        identities=_in_several((*_places_of_people(places), *_places_of_groups(frame))),
        identical=_in_several(hashes),
        frames=_in_several(zip(frame["dataset"], keys, frame["split"], frame["path"], strict=True)),
        notes=_notes(manifest, empty, read),
    )


def _read(
    folder: Path, paths: list[str], workers: int | None, progress: Callable[[int], object] | None
) -> Iterator[str | UnreadableImage]:
    """For each path, in order, a hash of the file, or the error; an empty hash for an image that is made on the fly."""

    def digest(path: str) -> str | UnreadableImage:
        if path.startswith(ON_THE_FLY):
            return ""
        file = folder / path
        try:
            data = read_image(file)
            decode_image(data, file)
        except UnreadableImage as error:
            return error
        return hashlib.blake2b(data, digest_size=16).hexdigest()

    def digests(some: list[str]) -> list[str | UnreadableImage]:
        return [digest(path) for path in some]

    # Pillow releases the interpreter's lock while it decodes, so that threads are enough.
    with ThreadPoolExecutor(workers or cores()) as pool:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            for outcomes in pool.map(digests, [chunk[i : i + TASK] for i in range(0, len(chunk), TASK)]):
                yield from outcomes
            if progress is not None:
                progress(len(chunk))


def _balance(manifest: Manifest, split: str) -> Balance:
    rows = manifest.where(split=split)
    real, fake = rows[rows["label"] == 0], rows[rows["label"] == 1]
    return Balance(
        split=split,
        real=len(real),
        fake=len(fake),
        real_videos=len(real[["dataset", "video"]].drop_duplicates()),
        fake_videos=len(fake[["dataset", "video"]].drop_duplicates()),
    )


def _places_of_people(places: Iterable[Place]) -> Iterator[Place]:
    for dataset, video, split, path in places:
        original_dataset, people = identities(dataset, video)
        yield from ((original_dataset, person, split, path) for person in people)


def _places_of_groups(frame: pd.DataFrame) -> Iterator[Place]:
    if "group" in frame:
        rows = frame[frame["group"].fillna("") != ""].drop_duplicates(["dataset", "group", "split"])
        yield from zip(rows["dataset"], rows["group"].astype(str), rows["split"], rows["path"], strict=True)


def _in_several(places: Iterable[Place]) -> tuple[SharedBySplits, ...]:
    """What occurs in more than one split."""
    first_paths: dict[tuple[str, str], dict[str, str]] = {}
    for dataset, name, split, path in places:
        first_paths.setdefault((dataset, name), {}).setdefault(split, path)
    shared = []
    for (dataset, name), path_in in first_paths.items():
        if len(path_in) > 1:
            splits = tuple(split.value for split in SplitName if split in path_in)
            paths = tuple(path_in[split] for split in splits)
            shared.append(SharedBySplits(name=name, dataset=dataset, splits=splits, paths=paths))
    return tuple(shared)


def _notes(manifest: Manifest, empty: tuple[str, ...], read: bool) -> tuple[str, ...]:
    notes = []
    if not read:
        notes.append("no image was read: missing, unreadable and identical files were not looked for")
    if SplitName.TRAIN in empty:
        splits = " and ".join(split for split in SplitName if split not in empty)
        notes.append(f"{manifest.name} has only {splits} images: there is nothing to train on")
    if read and (count := int(manifest.frame["path"].astype(str).str.startswith(ON_THE_FLY).sum())):
        notes.append(f"{count:,} images are made on the fly and were not read")
    unknown = [d for d in manifest.frame["dataset"].unique() if not identities(d, "")[0]]
    if unknown:
        notes.append(f"the names of videos do not say who is in them for {', '.join(map(str, unknown))}")
    return tuple(notes)
