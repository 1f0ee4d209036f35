"""``sfic-bench data``: make a manifest of a data set, check it, and take faces out of videos."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, View, progress, say
from sfic_bench.data.choices import DatasetKind, Draw, ImageFormat, SplitName
from sfic_bench.files import check_writable
from sfic_bench.report.columns import Cells, tabulated

if TYPE_CHECKING:
    from sfic_bench.data.check import Findings
    from sfic_bench.data.sampling import Sampling

data_app = options.CommandApp(help="Manifests of images: make one of a data set, check it, take faces out of videos.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]


def _complete_kinds(incomplete: str) -> list[str]:
    from sfic_bench.data.importers import IMPORTERS  # imports pandas

    return [name for name in IMPORTERS if name.startswith(incomplete)]


KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help=f"One of {', '.join(DatasetKind)}, or a plug-in's.", autocompletion=_complete_kinds
    ),
]


@data_app.command("import")
def import_command(
    kind: KindArgument,
    folder: Folder,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The manifest: a .csv or .parquet file.")
    ],
    fake_label: Annotated[
        int | None,
        typer.Option(metavar="0|1", help="For released: the label that means fake, which its lists do not say."),
    ] = None,
    split: Annotated[
        SplitName | None, typer.Option(help="For folder: the split of its images; test if not given.")
    ] = None,
    lmdb: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For deepfakebench: the folder of its LMDB databases, which have the images."),
    ] = None,
    draw: Annotated[
        Draw, typer.Option(help="Use all images by the official split, or 120,000 of them as the paper draws them.")
    ] = Draw.OFFICIAL,
) -> None:
    """Write a manifest of a data set whose images are in DIR.

    Its columns are path, label (fake is 1), dataset, method, video, split, compression, and mask if there are masks.
    Paths are relative to the manifest if it lies in DIR or around it, so that both can be moved together, and otherwise
    absolute. If DIR has videos, take their faces out first, with `sfic-bench data extract`.
    """
    from sfic_bench.data.importers import import_dataset  # imports pandas
    from sfic_bench.data.manifest import Manifest, write_manifest

    check_writable(output)
    frame = import_dataset(kind, folder, fake_label=fake_label, split=split, lmdb=lmdb, draw=draw)
    notes = frame.attrs.pop("notes", [])
    rebase = _rebase(folder if folder.is_dir() else folder.parent, output.parent)
    for column in {"path", "mask"} & {*frame}:
        frame[column] = frame[column].map(lambda path: path and rebase(path))
    write_manifest(Manifest(frame=frame, folder=output.parent, name=str(output)), output)
    for note in notes:
        say(f"sfic-bench: {note}")
    fakes = int((frame["label"] == 1).sum())
    by_split = ", ".join(f"{name} {count:,}" for name, count in frame["split"].value_counts().items())
    say(f"wrote {output}: {len(frame) - fakes:,} real and {fakes:,} fake images ({by_split})")


def _rebase(base: Path, target: Path) -> Callable[[str], str]:
    """A function that turns a path relative to ``base`` into one for a manifest in ``target``."""
    base, target = Path(os.path.abspath(base)), Path(os.path.abspath(target))  # noqa: PTH100

    def rebase(path: str) -> str:
        # Links are not resolved, since their owner decides where they point to.
        full = Path(os.path.normpath(base / path))
        is_inside = base.is_relative_to(target) and full.is_relative_to(target)
        return (full.relative_to(target) if is_inside else full).as_posix()

    return rebase


@data_app.command("check", epilog="Exit status: 0 nothing is wrong, 1 something is, 2 no usable manifest.")
def check_command(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A .csv or .parquet file.")],
    read: Annotated[
        bool, typer.Option("--read/--no-read", help="Read the images; otherwise only the table is checked.")
    ] = True,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Threads that read; default: as many as cores.", show_default=False),
    ] = None,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Read every image of a manifest, and say what is wrong with it.

    Reported are missing and unreadable files, splits that are empty or have only one class, and videos, people or
    byte-identical files that are in more than one split.
    """
    out = Output(format=format, path=output)
    from sfic_bench.data.check import check  # imports pandas
    from sfic_bench.data.manifest import read_manifest

    images = read_manifest(manifest)
    with progress("reading images", len(images) if read else 0) as advance:

        def count(number: int) -> None:
            advance("reading images", number)

        findings = check(images, read=read, progress=count, workers=workers)
    out.emit(_view(findings))
    if findings.problems:
        raise typer.Exit(1)


def _view(findings: "Findings") -> View:
    from sfic_bench.data.check import Balance, DataCheckResult, Problem

    result = DataCheckResult.of(findings)
    columns = (
        Cells[Balance]("split", lambda row: row.split, number=False),
        Cells[Balance]("real images", lambda row: f"{row.real:,}"),
        Cells[Balance]("fake images", lambda row: f"{row.fake:,}"),
        Cells[Balance]("real videos", lambda row: f"{row.real_videos:,}"),
        Cells[Balance]("fake videos", lambda row: f"{row.fake_videos:,}"),
    )
    notes = [*findings.notes, *([] if result.problems else ["nothing is wrong"])]
    tables = [tabulated(f"{findings.manifest}: {findings.images:,} images", columns, findings.balance, notes=notes)]
    problem_columns = (
        Cells[Problem]("path", lambda problem: problem.path, number=False),
        Cells[Problem]("what is wrong", lambda problem: problem.detail, number=False),
    )
    for what, count in result.counts.items():
        problems = [problem for problem in result.problems if problem.what == what]
        folded = count > 40  # a folded table says by itself how many rows it has
        tables.append(tabulated(what if folded else f"{what}: {count:,}", problem_columns, problems, folded=folded))
    return View(result=result, tables=tables, rows=result.problems)


@data_app.command("extract", epilog="Exit status: 0 done, 1 some videos cannot be read, 2 input that cannot be used.")
def extract_command(
    kind: KindArgument,
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FACES", help="The folder of the images; it is created if it is missing."
        ),
    ],
    interval: Annotated[
        int | None,
        typer.Option(metavar="N", help="Use every N-th frame; the paper's interval if not given.", show_default=False),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", help="Frames a video; the paper's number if not given.", show_default=False),
    ] = None,
    first: Annotated[
        bool, typer.Option("--first", help="Take the first of these frames, rather than frames spread over the video.")
    ] = False,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width of an image, pixels.")] = 256,
    enlarge: Annotated[
        float, typer.Option(metavar="FACTOR", help="Width of the crop over that of the detector's box.")
    ] = 1.0,
    detector: options.DetectorOption = "dlib",
    align: Annotated[bool, typer.Option("--align", help="Turn faces upright by their landmarks.")] = False,
    upsample: options.UpsampleOption = None,
    image: Annotated[ImageFormat, typer.Option(help="Format of the images; a JPEG has quality 95.")] = ImageFormat.PNG,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes; default: as many as cores.", show_default=False)
    ] = None,
) -> None:
    """Take the largest face out of evenly spaced frames of a data set's videos (ffpp, dfdc, celebdf, folder).

    The same command continues an interrupted extraction. Import FACES as the same KIND afterwards: the lists of splits
    and labels are copied into it. Frames without a face are listed in FACES/extract.jsonl.
    """
    from sfic_bench.data.extract import LOG, extract, plan
    from sfic_bench.data.sampling import ExtractionSettings

    paper = ExtractionSettings(
        kind=kind, size=size, enlarge=enlarge, upsample=upsample, format=image, detector=detector, align=align
    )

    def changed(sampling: "Sampling") -> "Sampling":
        return replace(
            sampling, first=first, count=sampling.count if count is None else count,
            interval=sampling.interval if interval is None else interval,
        )  # fmt: skip

    settings = replace(paper, real=changed(paper.sampling(0)), fake=changed(paper.sampling(1)))
    jobs = plan(folder, output, settings)
    with progress("taking faces", len(jobs)) as advance:
        summary = extract(jobs, output, workers=workers, progress=advance)
    faces = f"{summary.written:,} faces of {summary.videos:,} videos"
    say(f"wrote {faces} to {output}; {summary.skipped:,} were there already")
    if summary.faceless:
        say(f"{summary.faceless:,} frames have no face: see {output / LOG}")
    if unreadable := summary.unreadable:
        say(f"{len(unreadable):,} videos cannot be read, the first {unreadable[0]}: see {output / LOG}")
        raise typer.Exit(1)
