"""The check of a manifest before it is used: unusable files, splits that leak, and missing classes."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from msgspec import Struct

from sfic_bench.data.choices import SplitName
from sfic_bench.data.images import MissingImage, UnreadableImage, decode_image, read_image
from sfic_bench.data.importers import identities
from sfic_bench.data.manifest import ON_THE_FLY, Manifest

CHUNK = 1024
"""The number of images that are handed to the threads at a time."""

ProblemName = Literal[
    "missing file",
    "unreadable file",
    "one class",
    "empty split",
    "video in splits",
    "identity in splits",
    "identical files",
]


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
        splits: the splits that have it.
        paths: its first path in each of ``splits``.
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
        manifest: the manifest's name.
        images: the number of its rows.
        balance: the balance of each split, also of an empty one.
        missing: paths without a file.
        unreadable: files that are no usable images.
        one_class: splits with only real or only fake images, on which no AUC exists.
        empty: splits without images.
        videos: videos in more than one split.
        identities: people in more than one split, where the names of videos say who is in them.
        identical: byte-identical files in more than one split.
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
        counts = {b.split: b for b in self.balance}
        for split in self.one_class:
            label = "fake" if counts[split].fake else "real"
            yield Problem(what="one class", path=self.manifest, detail=f"{split} has {label} images alone")
        for shared in self.videos:
            yield _shared("video in splits", f"{shared.dataset} {shared.name}", shared)
        for shared in self.identities:
            yield _shared("identity in splits", f"{shared.dataset} {shared.name}", shared)
        for shared in self.identical:
            others = ", ".join(f"{p} ({s})" for s, p in zip(shared.splits[1:], shared.paths[1:], strict=True))
            detail = f"in {shared.splits[0]}, has the same bytes as {others}"
            yield Problem(what="identical files", path=shared.paths[0], detail=detail)


class DataCheckResult(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/data-check/2"):
    """What ``data check`` writes: the findings, and the problems that follow from them.

    Attributes:
        counts: number of problems by name.
    """

    findings: Findings
    counts: dict[ProblemName, int]
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, findings: Findings) -> "DataCheckResult":
        problems = findings.problems
        return cls(findings=findings, counts=dict(Counter(problem.what for problem in problems)), problems=problems)


def _shared(what: ProblemName, name: str, shared: SharedBySplits) -> Problem:
    return Problem(what=what, path=shared.paths[0], detail=f"{name} in {' and '.join(shared.splits)}")


def check(manifest: Manifest, *, progress: Callable[[str], None] | None = None, workers: int | None = None) -> Findings:
    """Read every image of ``manifest`` once, and look for problems that would spoil a training or a score.

    Args:
        manifest: the manifest; images that are made on the fly (``orl:``) are not read.
        progress: called with each path, in the calling thread.
        workers: number of threads that read; as many as there are cores if not given.
    """
    frame = manifest.frame
    paths: list[str] = frame["path"].astype(str).tolist()
    splits: list[str] = frame["split"].tolist()
    missing: list[str] = []
    unreadable: list[UnreadableFile] = []
    by_hash: dict[bytes, dict[str, str]] = {}  # by content, the first path in each split
    for path, split, result in zip(paths, splits, _read(manifest.folder, paths, workers), strict=True):
        if isinstance(result, bytes):
            if result:
                by_hash.setdefault(result, {}).setdefault(split, path)
        elif isinstance(result, MissingImage):
            missing.append(path)
        else:
            unreadable.append(UnreadableFile(path=path, reason=result.reason))
        if progress is not None:
            progress(path)
    balance = tuple(_balance(manifest, split.value) for split in SplitName)
    empty = tuple(b.split for b in balance if not b.real and not b.fake)
    by_video, by_identity = _first_paths(manifest)
    return Findings(
        manifest=manifest.name,
        images=len(frame),
        balance=balance,
        missing=tuple(missing),
        unreadable=tuple(unreadable),
        one_class=tuple(b.split for b in balance if bool(b.real) != bool(b.fake)),
        empty=empty,
        videos=_in_several(by_video),
        identities=_in_several(by_identity),
        identical=_in_several({("", digest.hex()): first for digest, first in by_hash.items()}),
        notes=_notes(manifest, empty),
    )


def _read(folder: Path, paths: list[str], workers: int | None) -> Iterator[bytes | UnreadableImage]:
    """For each path, in order, a hash of the file, or the error; no bytes for an image that is made on the fly."""

    def digest(path: str) -> bytes | UnreadableImage:
        if path.startswith(ON_THE_FLY):
            return b""
        file = folder / path
        try:
            data = read_image(file)
            decode_image(data, file)
        except UnreadableImage as error:
            return error
        return hashlib.blake2b(data, digest_size=16).digest()

    # Pillow releases the interpreter's lock while it decodes, so that threads are enough.
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for start in range(0, len(paths), CHUNK):
            yield from pool.map(digest, paths[start : start + CHUNK])


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


FirstPaths = dict[tuple[str, str], dict[str, str]]
"""By data set and name, the first path in each split."""


def _first_paths(manifest: Manifest) -> tuple[FirstPaths, FirstPaths]:
    """The first paths of videos, and those of people."""
    videos: FirstPaths = {}
    people: FirstPaths = {}
    columns = ["dataset", "video", "split"]
    for row in manifest.frame.drop_duplicates(columns).itertuples():
        videos.setdefault((row.dataset, row.video), {})[row.split] = row.path
        dataset, persons = identities(row.dataset, row.video)
        for person in persons:
            people.setdefault((dataset, person), {}).setdefault(row.split, row.path)
    return videos, people


def _in_several(first_paths: FirstPaths) -> tuple[SharedBySplits, ...]:
    shared = []
    for (dataset, name), paths in first_paths.items():
        splits = tuple(split.value for split in SplitName if split in paths)
        if len(splits) > 1:
            in_order = tuple(paths[split] for split in splits)
            shared.append(SharedBySplits(name=name, dataset=dataset, splits=splits, paths=in_order))
    return tuple(shared)


def _notes(manifest: Manifest, empty: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if SplitName.TRAIN in empty:
        others = " and ".join(split for split in SplitName if split not in empty)
        notes.append(f"{manifest.name} has {others} images alone: there is nothing to train on")
    if count := int(manifest.frame["path"].astype(str).str.startswith(ON_THE_FLY).sum()):
        notes.append(f"{count:,} images are made on the fly and were not read")
    unknown = [d for d in manifest.frame["dataset"].unique() if not identities(d, "")[0]]
    if unknown:
        notes.append(f"who is in a video is not known for {', '.join(map(str, unknown))}")
    return tuple(notes)
