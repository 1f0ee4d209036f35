"""``sfic-bench data``: a data set as a manifest, whether it is fit for use, and faces out of videos."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result, progress, say
from sfic_bench.errors import InvalidValue
from sfic_bench.report import Column, Table, check_writable

if TYPE_CHECKING:
    from sfic_bench.data.check import Findings
    from sfic_bench.data.sampling import Sampling

SCHEMA = "sfic-bench/data-check/1"

data_app = typer.Typer(
    help="Manifests of images: make one of a data set, check it, take faces out of videos."
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]


def _complete_kinds(incomplete: str) -> list[str]:
    from sfic_bench.data.importers import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="ffpp, ffpp-image-level, dfdc, celebdf, hff, released, deepfakebench or folder.",
        autocompletion=_complete_kinds,
    ),
]


@data_app.command("import")
def import_command(
    kind: Kind,
    folder: Folder,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The manifest: a .csv or .parquet file.")
    ],
    fake_label: Annotated[
        int | None,
        typer.Option(
            metavar="0|1", help="For released: the label that means fake, which its lists do not say."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="train|val|test", help="For folder: the split of its images; test if not given."
        ),
    ] = None,
) -> None:
    """Write a manifest of a data set whose images are in DIR.

    Its columns: path, label (fake is 1), dataset, method, video, split, compression, mask if there are any. Paths are relative to the manifest if it
    lies in DIR or around it, so that both can be moved together, else absolute. Of videos, take the faces out first, with
    `sfic-bench data extract`.
    """
    from sfic_bench.data.importers import import_dataset  # imports pandas
    from sfic_bench.data.manifest import Manifest, write_manifest

    check_writable(output)
    frame = import_dataset(kind, folder, fake_label=fake_label, split=split)
    notes = frame.attrs.pop("notes", [])
    base = folder if folder.is_dir() else folder.parent
    rebased = _rebased(base, output.parent)
    for column in {"path", "mask"} & {*frame}:
        frame[column] = frame[column].map(lambda path: path and rebased(path))
    manifest = Manifest(frame=frame, folder=output.parent, name=str(output))
    write_manifest(manifest, output)
    for note in notes:
        say(f"sfic-bench: {note}")
    fakes = int((frame["label"] == 1).sum())
    by_split = ", ".join(f"{name} {count:,}" for name, count in frame["split"].value_counts().items())
    say(f"wrote {output}: {len(frame) - fakes:,} real and {fakes:,} fake images ({by_split})")


def _rebased(base: Path, target: Path) -> Callable[[str], str]:
    """From a path relative to ``base`` to one that a manifest in ``target`` can have."""
    base, target = Path(os.path.abspath(base)), Path(os.path.abspath(target))  # noqa: PTH100

    def rebase(path: str) -> str:
        # Not resolved: where a link points to is the owner's business.
        full = Path(os.path.normpath(base / path))
        return (
            full.relative_to(target) if base.is_relative_to(target) and full.is_relative_to(target) else full
        ).as_posix()

    return rebase


@data_app.command("check", epilog="Exit status: 0 nothing is wrong, 1 something is, 2 no usable manifest.")
def check_command(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A .csv or .parquet file.")],
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads that read; default: as many as cores.", show_default=False),
    ] = None,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Read every image of a manifest, and say what is wrong with it.

    Reported are missing and unreadable files, splits that are empty or have one class alone, and videos, people or byte-identical
    files that are in more than one split.
    """
    out = Output(format=format, path=output)
    _check_workers(workers)
    from sfic_bench.data.check import check  # imports pandas
    from sfic_bench.data.manifest import read_manifest

    read = read_manifest(manifest)
    with progress("reading images", len(read)) as step:
        found = check(read, progress=lambda path: step("reading images"), workers=workers)
    out.emit(result(found))
    if found.problems:
        raise typer.Exit(1)


def result(found: "Findings") -> Result:
    """As it is written."""
    problems = [asdict(problem) for problem in found.problems]
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem["what"]] = counts.get(problem["what"], 0) + 1
    document: dict[str, Any] = {"schema": SCHEMA, **asdict(found), "counts": counts, "problems": problems}
    names = ("Split", "Real images", "Fake images", "Real videos", "Fake videos")
    balance = Table(
        title=f"{found.manifest}: {found.images:,} images",
        columns=[Column(name=name, number=i > 0) for i, name in enumerate(names)],
        rows=[
            [b.split, *(f"{n:,}" for n in (b.real, b.fake, b.real_videos, b.fake_videos))]
            for b in found.balance
        ],
        notes=[*found.notes, *([] if problems else ["nothing is wrong"])],
    )
    tables = [balance]
    for what, count in counts.items():
        rows = [[p["path"], p["detail"]] for p in problems if p["what"] == what]
        columns = [Column(name="Path"), Column(name="What is wrong")]
        tables.append(Table(title=f"{what}: {count:,}", columns=columns, rows=rows, folded=count > 40))
    return Result(document=document, tables=tables, records=problems)


@data_app.command(
    "extract", epilog="Exit status: 0 done, 1 some videos cannot be read, 2 input that cannot be used."
)
def extract_command(
    kind: Kind,
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FACES", help="The folder that images go into; made if need be."
        ),
    ],
    interval: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of every N-th frame; the paper's if not given.", show_default=False),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", help="Frames a video; the paper's if not given.", show_default=False),
    ] = None,
    first: Annotated[
        bool, typer.Option("--first", help="The first of these frames, rather than spread over the video.")
    ] = False,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width of an image, pixels.")] = 256,
    enlarge: Annotated[
        float, typer.Option(metavar="FACTOR", help="How many times as wide as the detector's box.")
    ] = 1.0,
    upsample: Annotated[
        int,
        typer.Option(
            metavar="N", help="How often to double a frame before the search; 0 is faster, for large faces."
        ),
    ] = 1,
    image: Annotated[str, typer.Option(metavar="png|jpeg", help="Its format; JPEG of quality 95.")] = "png",
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes; default: as many as cores.", show_default=False),
    ] = None,
) -> None:
    """Take the largest face out of evenly spaced frames of a data set's videos (ffpp, dfdc, celebdf, folder).

    Run again, it goes on where it was interrupted. Then import FACES as the same KIND: lists of splits and labels are
    copied there. Frames without a face are listed in FACES/extract.jsonl.
    """
    _check_workers(workers)
    from dataclasses import replace

    from sfic_bench.data.extract import LOG, extract, plan
    from sfic_bench.data.sampling import Settings

    papers = Settings(kind=kind, size=size, enlarge=enlarge, upsample=upsample, format=image)

    def changed(sampling: "Sampling") -> "Sampling":
        return replace(
            sampling,
            interval=sampling.interval if interval is None else interval,
            count=sampling.count if count is None else count,
            first=first,
        )

    settings = replace(papers, real=changed(papers.sampling(0)), fake=changed(papers.sampling(1)))
    jobs = plan(folder, output, settings)
    with progress("taking faces", len(jobs)) as step:
        done = extract(jobs, output, workers=workers, progress=step)
    say(
        f"wrote {done.written:,} faces of {done.videos:,} videos to {output}; {done.skipped:,} were there already"
    )
    if done.without:
        say(f"{done.without:,} frames have no face: see {output / LOG}")
    if done.unreadable:
        say(
            f"{len(done.unreadable):,} videos cannot be read, the first {done.unreadable[0]}: see {output / LOG}"
        )
        raise typer.Exit(1)


def _check_workers(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise InvalidValue(f"--workers takes a number of at least 1, got {workers}")
