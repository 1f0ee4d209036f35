"""``sfic-bench predict``: the scores of photographs and videos as they are."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.choices import ThresholdRule
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import Format, Output, View, progress, say
from sfic_bench.data.choices import CropStyle
from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.files import UnwritableOutput, write_bytes_atomically
from sfic_bench.measure.conditions import Device
from sfic_bench.report.prediction_tables import frame_rows, prediction_tables
from sfic_bench.results.environment import environment
from sfic_bench.results.predictions import Prediction, PredictionsResult

if TYPE_CHECKING:
    from sfic_bench.data.sources import MediaFile
    from sfic_bench.train.predict import Predictor, Scored

EPILOG = (
    "Exit status: 0 everything was scored, 1 something could not be read, was cut off or had no face, 2 input that "
    "cannot be used."
)

KEPT_EVERY_S = 30.0
"""How often unfinished results are written to --output."""

LONGEST = 2048
"""The longest side, pixels, of a picture that dlib searches; it doubles the picture first."""


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
    device: options.DeviceOption = Device.CPU,
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
    if attention and picture is None:
        raise InvalidValue("--attention is drawn in the pictures of --picture DIR: name a folder")
    with training_options.training_packages():
        from sfic_bench.data.faces import FaceCrop
        from sfic_bench.data.finders import FinderSettings, finder
        from sfic_bench.data.sources import LIST, media_files
        from sfic_bench.train.inference import TrainedNetwork
        from sfic_bench.train.predict import CROPS, Predictor
        from sfic_bench.train.runs import Run

        style = CROPS[like]
        crop = FaceCrop(
            enlarge=style.enlarge if enlarge is None else enlarge, align=style.align if align is None else align
        )
        found_by = None
        if not whole_image:
            settings = FinderSettings(detector=detector, upsample=upsample, longest=LONGEST)
            settings.check(crop)
            found_by = finder(settings)
        network = TrainedNetwork(Run(run), device, backbone=backbone, trust_code=trust_code)
        threshold_name, least = network.threshold(threshold)
        predictor = Predictor(network=network, finder=found_by, crop=crop, frames=frames, threshold=least)
        pictures = None if picture is None else _Pictures(picture, attention)
        machine, rows = environment(), list[Prediction]()

        def view() -> View:
            result = PredictionsResult(
                environment=machine, run=str(run), threshold=least, threshold_name=threshold_name,
                detector=None if whole_image else detector, enlarge=crop.enlarge, align=crop.align, frames=frames,
                rows=rows,
            )  # fmt: skip
            shown = [*rows, *frame_rows(rows)] if per_frame and format is Format.CSV else rows
            return View(result=result, tables=prediction_tables(result, per_frame=per_frame), rows=shown)

        files = media_files(what, sys.stdin.buffer if LIST in what else ())
        with _all_of(files, shows=not (LIST in what or out.streams)) as media:
            is_interrupted = not _scored_into(rows, media, predictor, pictures, out, view)
    if not out.streams:
        out.emit(view())
    if is_interrupted:
        say(f"sfic-bench: interrupted; what is written has the first {len({row.path for row in rows}):,} files")
        raise typer.Exit(130)
    if not rows:
        say("sfic-bench: the list on the standard input names nothing")
    if any(row.fake is None or row.cut_off for row in rows):
        raise typer.Exit(1)


def _scored_into(
    rows: list[Prediction],
    media: "Iterator[MediaFile]",
    predictor: "Predictor",
    pictures: "_Pictures | None",
    out: Output,
    view: Callable[[], View],
) -> bool:
    """Add the rows of each file to ``rows``, and write what must not wait; whether the user let it end."""
    kept = time.monotonic()
    try:
        for file in media:
            scored = predictor.scored(file)
            rows += scored.rows
            if pictures is not None:
                pictures.write(file, scored, predictor)
            for row in scored.rows:
                out.stream(row)
            if time.monotonic() - kept > KEPT_EVERY_S:
                out.keep(view())
                kept = time.monotonic()
    except KeyboardInterrupt:
        return False
    except SficBenchError:
        out.keep(view())
        raise
    return True


@contextmanager
def _all_of(files: "Iterator[MediaFile]", *, shows: bool) -> "Iterator[Iterator[MediaFile]]":
    """The files one after another; with ``shows`` they are counted first, and progress is shown."""
    if not shows:
        yield files
        return
    known = list(files)
    with progress("scoring", len(known)) as advance:

        def one_by_one() -> "Iterator[MediaFile]":
            for file in known:
                yield file
                advance(f"scored {file.path.name}")

        yield one_by_one()


class _Pictures:
    """Writes the picture of each file into a folder, under a name of its own.

    Raises:
        UnwritableOutput: if the folder cannot be made or written.
    """

    def __init__(self, folder: Path, attention: bool) -> None:
        self.folder, self.attention = folder, attention
        self._names: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make the folder {folder}: {error.strerror or error}") from None
        if not os.access(folder, os.W_OK):
            raise UnwritableOutput(f"cannot write into the folder {folder}: permission denied")

    def write(self, file: "MediaFile", scored: "Scored", predictor: "Predictor") -> None:
        """Write the picture of ``file``, if any of it could be read."""
        from sfic_bench.data.sources import ANNOTATED
        from sfic_bench.train.sheets import picture

        if scored.image is None and not scored.rows[0].curve:
            return
        # A file's name has at most 255 bytes.
        stem = os.fsencode(file.path.name)[:200].decode(errors="ignore")
        name, number = stem + ANNOTATED, 2
        while name in self._names:
            name, number = f"{stem}-{number}{ANNOTATED}", number + 1
        self._names.add(name)
        write_bytes_atomically(self.folder / name, picture(scored, predictor, attention=self.attention))
