"""Data sets: manifests made and checked, and faces taken out of videos."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.commands.given import LOG, FilePath, Names, names_in
from sfic_bench.commands.watcher import UNWATCHED, Watcher
from sfic_bench.data.choices import Draw, ImageFormat, SplitName
from sfic_bench.errors import member
from sfic_bench.files import check_writable

if TYPE_CHECKING:
    from sfic_bench.data.check import DataCheckResult
    from sfic_bench.data.extract import ExtractionSummary
    from sfic_bench.data.manifest import Manifest
    from sfic_bench.data.sampling import Sampling


def data_import(
    kind: str,
    folder: FilePath,
    output: FilePath,
    *,
    fake_label: int | None = None,
    split: SplitName | str | None = None,
    draw: Draw | str = Draw.OFFICIAL,
    real: Names = (),
    fake: Names = (),
    folders: str | None = None,
    group: str | None = None,
    images: FilePath | None = None,
    columns: Mapping[str, str] | None = None,
    subset: str | None = None,
    fractions: Sequence[float] | None = None,
    seed: int = 7,
    lmdb: FilePath | None = None,
) -> "Manifest":
    """Write a manifest of a data set whose images are in a folder, which for ``hf`` may be a name on the Hub.

    Paths are relative to the manifest if it lies in the folder or around it, so that both can be moved together, and
    otherwise absolute.

    Args:
        kind: what data set it is, see ``sfic-bench data import --help``, or the name of a plug-in's importer.
        folder: the data set's folder.
        output: the manifest, a .csv or .parquet file.
        fake_label: for ``released``: the label that means fake, which its lists do not say.
        split: for ``folder`` and ``hf``: the split of all images; for ``folder`` test if not given.
        draw: use all images by the official split, or 120,000 of them as the paper draws them.
        real: for ``folder`` and ``hf``: classes of real images; ``real`` if not given.
        fake: for ``folder`` and ``hf``: classes of fakes, several of which are methods; ``fake`` if not given.
        folders: for ``folder``: what the folders in a class are, ``"videos"`` or ``"methods"``; videos if not given.
        group: for ``folder``: a regular expression that finds the person or source in a path.
        images: for ``hf``: the folder that the images are written into.
        columns: for ``hf``: the data set's columns that are image, label, method, video and group.
        subset: for ``hf``: the configuration.
        fractions: for ``folder`` and ``hf``: shares of train, val and test, at random and by whole groups.
        seed: seed of ``fractions``.
        lmdb: for ``deepfakebench``: the folder of its LMDB databases, which have the images.

    Raises:
        UnwritableOutput: if the manifest cannot be written.
        BadLayout: for a folder that is not laid out as the data set is.
        UnknownName, InvalidValue: for an argument that cannot be used.
    """
    from sfic_bench.data.importers import import_dataset  # imports pandas
    from sfic_bench.data.importers.grouping import SeededSplit
    from sfic_bench.data.manifest import Manifest, write_manifest

    folder, output = Path(folder), Path(output)
    check_writable(output)
    written = None if images is None else Path(images)
    frame = import_dataset(
        kind, folder, draw=member(Draw, draw, "draw"), fake_label=fake_label, split=split,
        real=names_in(real) or None, fake=names_in(fake) or None, folders=folders, group=group, images=written,
        subset=subset, columns=columns or None, lmdb=None if lmdb is None else Path(lmdb),
        fractions=None if fractions is None else SeededSplit(shares=tuple(fractions), seed=seed),
    )  # fmt: skip
    notes = frame.attrs.pop("notes", [])
    rebase = _rebase(written or (folder if folder.is_dir() else folder.parent), output.parent)
    for column in {"path", "mask"} & {*frame}:
        frame[column] = frame[column].map(lambda path: path and rebase(path))
    manifest = Manifest(frame=frame, folder=output.parent, name=str(output))
    write_manifest(manifest, output)
    for note in notes:
        LOG.warning("%s", note)
    fakes = int((frame["label"] == 1).sum())
    by_split = ", ".join(f"{name} {count:,}" for name, count in frame["split"].value_counts().items())
    LOG.info("wrote %s: %s real and %s fake images (%s)", output, f"{len(frame) - fakes:,}", f"{fakes:,}", by_split)
    return manifest


def _rebase(base: Path, target: Path) -> Callable[[str], str]:
    """A function that turns a path relative to ``base`` into one for a manifest in ``target``."""
    base, target = Path(os.path.abspath(base)), Path(os.path.abspath(target))  # noqa: PTH100

    def rebase(path: str) -> str:
        # Links are not resolved, since their owner decides where they point to.
        full = Path(os.path.normpath(base / path))
        is_inside = base.is_relative_to(target) and full.is_relative_to(target)
        return (full.relative_to(target) if is_inside else full).as_posix()

    return rebase


def data_check(
    manifest: FilePath, *, read: bool = True, workers: int | None = None, watch: Watcher = UNWATCHED
) -> "DataCheckResult":
    """Read every image of a manifest, and say what is wrong with it.

    Reported are missing and unreadable files, splits that are empty or have only one class, and videos, people or
    byte-identical files that are in more than one split.

    Args:
        manifest: a .csv or .parquet file.
        read: read the images; otherwise only the table is checked.
        workers: number of threads that read; as many as cores if not given.
        watch: hears of the images.

    Raises:
        UnusableManifest: for a file that is no manifest.
    """
    from sfic_bench.data.check import DataCheckResult, check  # imports pandas
    from sfic_bench.data.manifest import read_manifest

    images = read_manifest(Path(manifest))
    with watch.progress("reading images", len(images) if read else 0) as advance:

        def count(number: int) -> None:
            advance("reading images", number)

        return DataCheckResult.of(check(images, read=read, progress=count, workers=workers))


def data_extract(
    kind: str,
    folder: FilePath,
    output: FilePath,
    *,
    interval: int | None = None,
    count: int | None = None,
    first: bool = False,
    size: int = 256,
    enlarge: float = 1.0,
    detector: str = "dlib",
    align: bool = False,
    upsample: int | None = None,
    image: ImageFormat | str = ImageFormat.PNG,
    workers: int | None = None,
    watch: Watcher = UNWATCHED,
) -> "ExtractionSummary":
    """Take the largest face out of evenly spaced frames of a data set's videos.

    The same call continues an interrupted extraction. Import the images as the same kind afterwards: the lists of
    splits and labels are copied beside them. Frames without a face are listed in ``extract.jsonl`` there.

    Args:
        kind: what data set it is: ffpp, dfdc, celebdf, folder, or a plug-in's.
        folder: the data set's folder.
        output: the folder of the images; it is created if it is missing.
        interval: use every N-th frame; the paper's interval if not given.
        count: frames a video; the paper's number if not given.
        first: take the first of these frames, rather than frames spread over the video.
        size: height and width of an image, pixels.
        enlarge: width of the crop over that of the detector's box.
        detector, align, upsample: as for `sfic_bench.predict`.
        image: format of the images; a JPEG has quality 95.
        workers: number of processes; as many as cores if not given.
        watch: hears of each video.

    Raises:
        BadLayout: for a folder that is not laid out as the data set is.
        FailedExtraction, InvalidValue, UnknownName: for what cannot be used.
    """
    from sfic_bench.data.extract import LOG as LIST
    from sfic_bench.data.extract import extract, plan
    from sfic_bench.data.sampling import ExtractionSettings

    folder, output = Path(folder), Path(output)
    paper = ExtractionSettings(
        kind=kind, size=size, enlarge=enlarge, upsample=upsample, format=member(ImageFormat, image, "image format"),
        detector=detector, align=align,
    )  # fmt: skip

    def changed(sampling: "Sampling") -> "Sampling":
        return replace(
            sampling, first=first, count=sampling.count if count is None else count,
            interval=sampling.interval if interval is None else interval,
        )  # fmt: skip

    settings = replace(paper, real=changed(paper.sampling(0)), fake=changed(paper.sampling(1)))
    jobs = plan(folder, output, settings)
    with watch.progress("taking faces", len(jobs)) as advance:
        summary = extract(jobs, output, workers=workers, progress=advance)
    faces = f"{summary.written:,} faces of {summary.videos:,} videos"
    LOG.info("wrote %s to %s; %s were there already", faces, output, f"{summary.skipped:,}")
    if summary.faceless:
        LOG.info("%s frames have no face: see %s", f"{summary.faceless:,}", output / LIST)
    if unreadable := summary.unreadable:
        count_ = f"{len(unreadable):,}"
        LOG.warning("%s videos cannot be read, the first %s: see %s", count_, unreadable[0], output / LIST)
    return summary
