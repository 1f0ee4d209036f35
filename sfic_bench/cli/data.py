"""``sfic-bench data``: make a manifest of a data set, check it, and take faces out of videos."""

from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.data.choices import DatasetKind, Draw, ImageFormat, SplitName
from sfic_bench.errors import InvalidValue

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
        SplitName | None, typer.Option(help="For folder and hf: the split of all images. Default for folder: test.")
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            metavar="X,X,X",
            help="For folder and hf: shares of train, val and test, such as .8,.1,.1, at random and by whole groups.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of --fractions.")] = 7,
    real: Annotated[
        str, typer.Option(metavar="NAME[,…]", help="For folder and hf: classes of real images. Default: real.")
    ] = "",
    fake: Annotated[
        str,
        typer.Option(
            metavar="NAME[,…]", help="For folder and hf: classes of fakes; several are methods. Default: fake."
        ),
    ] = "",
    folders: Annotated[
        str | None,
        typer.Option(metavar="videos|methods", help="For folder: what the folders in a class are. Default: videos."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN", help="For folder: a regular expression that finds the person or source in a path."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For hf: the folder that the images are written into.")
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            metavar="USE=NAME[,…]", help="For hf: the columns that are image, label, method, video and group."
        ),
    ] = "",
    subset: Annotated[str | None, typer.Option(metavar="NAME", help="For hf: the configuration.")] = None,
    lmdb: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For deepfakebench: the folder of its LMDB databases, which have the images."),
    ] = None,
    draw: Annotated[
        Draw, typer.Option(help="Use all images by the official split, or 120,000 of them as the paper draws them.")
    ] = Draw.OFFICIAL,
) -> None:
    """Write a manifest of a data set whose images are in DIR, which for hf may be a name on the Hugging Face Hub.

    Its columns are path, label (fake is 1), dataset, method, video, split, compression, and mask if there are masks.
    Paths are relative to the manifest if it lies in DIR or around it, so that both can be moved together, and otherwise
    absolute. If DIR has videos, take their faces out first, with `sfic-bench data extract`.
    """
    sfic_bench.data_import(
        kind, folder, output, fake_label=fake_label, split=split, draw=draw, real=real, fake=fake, folders=folders,
        group=group, images=images, columns=_columns(columns), subset=subset, lmdb=lmdb,
        fractions=None if fractions is None else options.decimals("--fractions", fractions), seed=seed,
    )  # fmt: skip


def _columns(text: str) -> dict[str, str]:
    """The columns that ``--columns`` names, by their use."""
    columns = {}
    for part in options.parts(text):
        use, sign, name = part.partition("=")
        if not (use and sign and name):
            raise InvalidValue(f"--columns: expected such as image=picture,label=is_fake, got {part!r}")
        columns[use.strip()] = name.strip()
    return columns


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
    result = sfic_bench.data_check(manifest, read=read, workers=workers, watch=Terminal(out, view_of))
    out.emit(view_of(result, rows=result.problems))
    if result.problems:
        raise typer.Exit(1)


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
    summary = sfic_bench.data_extract(
        kind, folder, output, interval=interval, count=count, first=first, size=size, enlarge=enlarge,
        detector=detector, align=align, upsample=upsample, image=image, workers=workers,
        watch=Terminal(Output(format=Format.TABLE, path=None), view_of),
    )  # fmt: skip
    if summary.unreadable:
        raise typer.Exit(1)
