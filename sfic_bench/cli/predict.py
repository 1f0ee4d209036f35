"""``sfic-bench predict``: the scores of photographs and videos as they are."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

import sfic_bench
from sfic_bench.choices import ThresholdRule
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import Format, Output, View, say
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.commands.watcher import Watcher
from sfic_bench.data.choices import CropStyle
from sfic_bench.measure.conditions import Device
from sfic_bench.reporting.prediction_tables import frame_rows, prediction_tables
from sfic_bench.results.predictions import PredictionsResult

EPILOG = (
    "Exit status: 0 everything was scored, 1 something could not be read, was cut off or had no face, 2 input that "
    "cannot be used."
)


def predict_command(
    run: training_options.RunArgument,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT…", help="Photographs, videos, folders of either, or - for a list of paths on stdin."
        ),
    ],
    whole_image: Annotated[
        bool, typer.Option("--whole-image", help="Score each picture as it is: for faces that are cut out already.")
    ] = False,
    frames: Annotated[int, typer.Option(metavar="N", help="Frames of a video, evenly spaced.")] = 32,
    per_frame: Annotated[bool, typer.Option("--per-frame", help="Show the score of every frame, too.")] = False,
    like: Annotated[
        CropStyle, typer.Option(help="Cut faces out as the paper or as DeepfakeBench does: aligned, enlarged by 1.3.")
    ] = CropStyle.PAPER,
    detector: options.DetectorOption = "dlib",
    enlarge: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="Width of the crop over that of the detector's box; by --like if not given.",
            show_default=False,
        ),
    ] = None,
    align: Annotated[
        bool | None,
        typer.Option("--align/--no-align", help="Turn faces upright by their landmarks.", show_default=False),
    ] = None,
    upsample: options.UpsampleOption = None,
    threshold: Annotated[
        str,
        typer.Option(
            metavar="X|NAME",
            help="The probability above which the verdict is fake: a number, or a threshold that the run chose on its "
            f"validation images: {', '.join(ThresholdRule)}.",
        ),
    ] = "0.5",
    picture: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write pictures: photographs with boxes and scores, sheets of videos."),
    ] = None,
    attention: Annotated[
        bool, typer.Option("--attention", help="Show in these pictures where the network looks in each face.")
    ] = False,
    device: options.DeviceOption = Device.CPU.value,
    backbone: training_options.RunCode = None,
    trust_code: training_options.TrustCode = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Find the faces in photographs and videos, and give the probability that each is fake.

    A photograph has a row for each face, and one without a face has no score. A video has one score, the mean of the
    largest face of evenly spaced frames. Cut faces out as the run's training data were. Pictures of faces that are cut
    out already need --whole-image, which is what earlier versions did with every picture.
    """
    out = Output(format=format, path=output)

    def view(result: Struct) -> View:
        assert isinstance(result, PredictionsResult), result
        rows = result.rows
        shown = [*rows, *frame_rows(rows)] if per_frame and format is Format.CSV else rows
        return view_of(result, tables=prediction_tables(result, per_frame=per_frame), rows=shown)

    from sfic_bench.data.sources import LIST  # imports numpy

    terminal = Terminal(out, view)
    names = _listed(what) if LIST in what else what
    try:
        result: Struct | None = sfic_bench.predict(
            run, names, whole_image=whole_image, frames=frames, like=like, detector=detector, enlarge=enlarge,
            align=align, upsample=upsample, threshold=threshold, picture=picture, attention=attention, device=device,
            backbone=backbone, trust_code=trust_code, on_row=out.stream if out.streams else None,
            watch=Watcher() if out.streams else terminal,
        )  # fmt: skip
        is_interrupted = False
    except KeyboardInterrupt:
        result, is_interrupted = terminal.latest, True
    if not out.streams and result is not None:
        out.emit(view(result))
    rows = result.rows if isinstance(result, PredictionsResult) else []
    if is_interrupted:
        say(f"sfic-bench: interrupted; what is written has the first {len({row.path for row in rows}):,} files")
        raise typer.Exit(130)
    if not rows:
        say("sfic-bench: the list on the standard input names nothing")
    if any(row.fake is None or row.cut_off for row in rows):
        raise typer.Exit(1)


def _listed(what: Sequence[str]) -> Iterator[str]:
    """The names in ``what``, and in the place of `LIST` those on the standard input, as they come."""
    from sfic_bench.data.sources import LIST, listed

    for name in what:
        if name == LIST:
            yield from listed(sys.stdin.buffer)
        else:
            yield name
