"""Is a manifest fit to train and test on? Files that cannot be used, splits that leak, classes that are missing."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfic_bench.data.images import MissingImage, UnreadableImage, decode_image, read_image
from sfic_bench.data.importers import identities
from sfic_bench.data.manifest import SPLITS, Manifest

MADE = "orl:"
"""Starts the paths of images that are made on the fly, of which there is no file to check."""

CHUNK = 1024
"""Images that wait for a thread at a time."""

What = Literal[
    "missing file",
    "unreadable file",
    "one class",
    "empty split",
    "video in splits",
    "identity in splits",
    "identical files",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """How many images and videos of each class a split has."""

    split: str
    real: int
    fake: int
    real_videos: int
    fake_videos: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A file that no image can be made of."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What is on more than one side: a video or a person with the ``dataset``, and its first path in each of ``splits``."""

    name: str
    dataset: str
    splits: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong; ``path`` is of the file concerned, or of the manifest."""

    what: What
    path: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What `check` found.

    Attributes:
        manifest: its name.
        images: how many rows it has.
        balance: of each split, also of an empty one.
        missing: paths without a file.
        unreadable: files that are no usable image.
        one_class: splits with real or fake images alone, on which there is no AUC.
        empty: splits without images.
        videos: videos in more than one split.
        identities: people in more than one split, where a data set's names of videos tell who is in them.
        identical: byte-identical files in more than one split; the name is a hash.
        notes: what is no problem and yet worth knowing.
    """

    manifest: str
    images: int
    balance: tuple[Balance, ...]
    missing: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    one_class: tuple[str, ...]
    empty: tuple[str, ...]
    videos: tuple[Shared, ...]
    identities: tuple[Shared, ...]
    identical: tuple[Shared, ...]
    notes: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong, each with a path. Nothing, if the manifest can be used as it is.

        Empty splits are wrong where there is something to train on, since choosing an epoch needs ``val`` and a score
        ``test``; a manifest to test on has no others.
        """
        return tuple(self._problems())

    def _problems(self) -> Iterator[Problem]:
        for path in self.missing:
            yield Problem(what="missing file", path=path, detail="there is no such file")
        for file in self.unreadable:
            yield Problem(what="unreadable file", path=file.path, detail=file.reason)
        if "train" not in self.empty:
            for split in self.empty:
                yield Problem(what="empty split", path=self.manifest, detail=f"{split} has no images")
        counts = {b.split: b for b in self.balance}
        for split in self.one_class:
            has = "fake" if counts[split].fake else "real"
            yield Problem(what="one class", path=self.manifest, detail=f"{split} has {has} images alone")
        for shared in self.videos:
            yield _shared("video in splits", f"{shared.dataset} {shared.name}", shared)
        for shared in self.identities:
            yield _shared("identity in splits", f"{shared.dataset} {shared.name}", shared)
        for shared in self.identical:
            others = ", ".join(f"{p} ({s})" for s, p in zip(shared.splits[1:], shared.paths[1:], strict=True))
            detail = f"in {shared.splits[0]}, has the same bytes as {others}"
            yield Problem(what="identical files", path=shared.paths[0], detail=detail)


def _shared(what: What, name: str, shared: Shared) -> Problem:
    return Problem(what=what, path=shared.paths[0], detail=f"{name} in {' and '.join(shared.splits)}")


def check(
    manifest: Manifest, *, progress: Callable[[str], None] | None = None, workers: int | None = None
) -> Findings:
    """Read every image of ``manifest`` once and look for what would spoil a training or a score.

    Args:
        manifest: what to check; images that are made on the fly (``orl:``) are not read.
        progress: called with each path, in the calling thread.
        workers: threads that read; as many as there are cores if not given.
    """
    frame = manifest.frame
    paths: list[str] = frame["path"].astype(str).tolist()
    splits: list[str] = frame["split"].tolist()
    missing: list[str] = []
    unreadable: list[Unreadable] = []
    by_hash: dict[bytes, dict[str, str]] = {}  # the first path in each split
    for path, split, result in zip(paths, splits, _read(manifest.folder, paths, workers), strict=True):
        if isinstance(result, bytes):
            if result:
                by_hash.setdefault(result, {}).setdefault(split, path)
        elif isinstance(result, MissingImage):
            missing.append(path)
        else:
            unreadable.append(Unreadable(path=path, reason=result.reason))
        if progress is not None:
            progress(path)
    balance = tuple(_balance(manifest, split) for split in SPLITS)
    empty = tuple(b.split for b in balance if not b.real and not b.fake)
    by_video, by_identity = _sides(manifest)
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
        identical=_in_several({("", found.hex()): sides for found, sides in by_hash.items()}),
        notes=_notes(manifest, empty),
    )


def _read(folder: Path, paths: list[str], workers: int | None) -> Iterator[bytes | UnreadableImage]:
    """Of each path, in order: a hash of the file, nothing if there is no file to read, or what is wrong with it."""

    def one(path: str) -> bytes | UnreadableImage:
        if path.startswith(MADE):
            return b""
        file = folder / path
        try:
            data = read_image(file)
            decode_image(data, file)
        except UnreadableImage as error:
            return error
        return hashlib.blake2b(data, digest_size=16).digest()

    # Pillow decodes without the interpreter's lock, so that threads are enough.
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for start in range(0, len(paths), CHUNK):
            yield from pool.map(one, paths[start : start + CHUNK])


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


Sides = dict[tuple[str, str], dict[str, str]]
"""By data set and name, the first path in each split."""


def _sides(manifest: Manifest) -> tuple[Sides, Sides]:
    """Of videos and of people."""
    videos: Sides = {}
    people: Sides = {}
    columns = ["dataset", "video", "split"]
    for row in manifest.frame.drop_duplicates(columns).itertuples():
        videos.setdefault((row.dataset, row.video), {})[row.split] = row.path
        among, who = identities(row.dataset, row.video)
        for person in who:
            people.setdefault((among, person), {}).setdefault(row.split, row.path)
    return videos, people


def _in_several(sides: Sides) -> tuple[Shared, ...]:
    found = []
    for (dataset, name), paths in sides.items():
        if len(paths) > 1:
            splits = tuple(s for s in SPLITS if s in paths)
            found.append(
                Shared(name=name, dataset=dataset, splits=splits, paths=tuple(paths[s] for s in splits))
            )
    return tuple(found)


def _notes(manifest: Manifest, empty: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if "train" in empty:
        have = " and ".join(s for s in SPLITS if s not in empty)
        notes.append(f"{manifest.name} has {have} images alone: there is nothing to train on")
    if made := int(manifest.frame["path"].astype(str).str.startswith(MADE).sum()):
        notes.append(f"{made:,} images are made on the fly and were not read")
    unknown = [d for d in manifest.frame["dataset"].unique() if not identities(d, "")[0]]
    if unknown:
        notes.append(f"who is in a video is not known for {', '.join(map(str, unknown))}")
    return tuple(notes)
