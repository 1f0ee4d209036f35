"""Trained networks at work: on pictures as they are, and on corrupted images."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.commands.given import (
    LOG,
    FilePath,
    Names,
    manifest_of,
    names_in,
    paths_in,
    rows_of,
    tell_unreadable,
    training_packages,
)
from sfic_bench.commands.watcher import UNWATCHED, Watcher
from sfic_bench.data.choices import CropStyle, SplitName
from sfic_bench.errors import InvalidValue, MissingDependency, member
from sfic_bench.measure.conditions import Device
from sfic_bench.results.environment import environment
from sfic_bench.results.predictions import Prediction, PredictionsResult
from sfic_bench.results.robustness import RobustnessResult, RobustnessRow

if TYPE_CHECKING:
    from sfic_bench.data.corruptions import Corruption
    from sfic_bench.data.manifest import Manifest
    from sfic_bench.data.sources import MediaFile

KEPT_EVERY_S = 30.0
"""How often unfinished predictions are kept."""

LONGEST = 2048
"""The longest side, pixels, of a picture that dlib searches; it doubles the picture first."""


def predict(
    run: FilePath,
    what: FilePath | Iterable[FilePath],
    *,
    whole_image: bool = False,
    frames: int = 32,
    like: CropStyle | str = CropStyle.PAPER,
    detector: str = "dlib",
    enlarge: float | None = None,
    align: bool | None = None,
    upsample: int | None = None,
    threshold: float | str = 0.5,
    picture: FilePath | None = None,
    attention: bool = False,
    device: Device | str = Device.CPU,
    backbone: str | None = None,
    trust_code: bool = False,
    on_row: Callable[[Prediction], object] | None = None,
    watch: Watcher = UNWATCHED,
) -> PredictionsResult:
    """Find the faces in photographs and videos, and give the probability that each is fake.

    A photograph has a row for each face, and one without a face has no score. A video has one score, the mean of the
    largest face of evenly spaced frames. Cut faces out as the run's training data were.

    Examples:
        >>> predict("runs/a", ["photo.jpg", "videos/"]).to_frame()[["path", "fake", "verdict"]]  # doctest: +SKIP

    Args:
        run: the folder of a finished run.
        what: photographs, videos and folders of either; an iterator is read as it comes.
        whole_image: score each picture as it is, for faces that are cut out already.
        frames: number of frames of a video.
        like: cut faces out as the paper does, or as DeepfakeBench does: aligned, enlarged by 1.3.
        detector: what finds faces: ``"dlib"``, or a file of CenterFace, YuNet or a shape predictor.
        enlarge: width of the crop over that of the detector's box; by ``like`` if not given.
        align: turn faces upright by their landmarks; by ``like`` if not given.
        upsample: how often a picture is doubled before the search.
        threshold: the probability above which the verdict is fake: a number, or the name of a threshold that the run
            chose.
        picture: a folder for pictures with boxes and scores.
        attention: show in these pictures where the network looks.
        device, backbone, trust_code: as for `sfic_bench.evaluate`.
        on_row: is called with each row as soon as it is there.
        watch: hears of each file, and gets what is finished from time to time, also before an error or Ctrl-C ends the
            work.

    Raises:
        UnusableRun: if the folder has no finished run.
        InvalidValue, UnknownName: for an option that cannot be used.
        UnwritableOutput: if pictures cannot be written.
    """
    if attention and picture is None:
        raise InvalidValue("--attention is drawn in the pictures of --picture DIR: name a folder")
    with training_packages():
        from sfic_bench.data.faces import FaceCrop
        from sfic_bench.data.finders import FinderSettings, finder
        from sfic_bench.data.sources import media_files
        from sfic_bench.measure.devices import device_named
        from sfic_bench.training.inference import TrainedNetwork
        from sfic_bench.training.predict import CROPS, Predictor
        from sfic_bench.training.runs import Run
        from sfic_bench.training.sheets import PictureFolder

        style = CROPS[member(CropStyle, like, "value of like")]
        crop = FaceCrop(
            enlarge=style.enlarge if enlarge is None else enlarge, align=style.align if align is None else align
        )
        found_by = None
        if not whole_image:
            settings = FinderSettings(detector=detector, upsample=upsample, longest=LONGEST)
            settings.check(crop)
            found_by = finder(settings)
        network = TrainedNetwork(Run(Path(run)), device_named(device), backbone=backbone, trust_code=trust_code)
        threshold_name, least = network.threshold(str(threshold))
        predictor = Predictor(network=network, finder=found_by, crop=crop, frames=frames, threshold=least)
        pictures = None if picture is None else PictureFolder(Path(picture), attention=attention)
        machine, rows = environment(), list[Prediction]()

        def so_far() -> PredictionsResult:
            return PredictionsResult(
                environment=machine, run=str(run), threshold=least, threshold_name=threshold_name,
                detector=None if whole_image else detector, enlarge=crop.enlarge, align=crop.align, frames=frames,
                rows=list(rows),
            )  # fmt: skip

        kept = time.monotonic()
        names = what if isinstance(what, Iterator) else map(str, paths_in(what))
        try:
            for file in _told(media_files(map(str, names)), watch, is_known=not isinstance(what, Iterator)):
                scored = predictor.scored(file)
                rows += scored.rows
                if pictures is not None:
                    pictures.write(file, scored, predictor)
                if on_row is not None:
                    for row in scored.rows:
                        on_row(row)
                if time.monotonic() - kept > KEPT_EVERY_S:
                    watch.keep(so_far())
                    kept = time.monotonic()
        except BaseException:
            watch.keep(so_far())
            raise
        return so_far()


def _told(files: "Iterator[MediaFile]", watch: Watcher, *, is_known: bool) -> "Iterator[MediaFile]":
    """The files one after another; if all are known at once, ``watch`` hears of each."""
    if not is_known:
        yield from files
        return
    known = list(files)
    with watch.progress("scoring", len(known)) as advance:
        for file in known:
            yield file
            advance(f"scored {file.path.name}")


def robustness(
    runs: FilePath | Sequence[FilePath],
    *,
    data: "FilePath | Manifest" = "orl",
    compression: Names = (),
    split: SplitName | str = SplitName.TEST,
    corruption: Names = "all",
    severity: Mapping[str, Sequence[float]] | None = None,
    device: Device | str = Device.CPU,
    workers: int = 0,
    skip_unreadable: bool = False,
    trust_code: bool = False,
    watch: Watcher = UNWATCHED,
) -> RobustnessResult:
    """Score trained networks on images that are corrupted more and more: AUC against severity, with intervals.

    Each image is corrupted as it is stored, before it is resized for a network, and every network sees the same pixels.
    Vanilla and SFIC runs of one backbone are compared image by image; runs of one network with several seeds are one
    row.

    Args:
        runs: folders of finished runs.
        data, compression, split, device, workers, skip_unreadable, trust_code: as for `sfic_bench.evaluate`.
        corruption: of jpeg, blur, noise, resize, brightness and h264, or ``"all"``. One whose package is missing is
            left out, which the result says.
        severity: severities of some corruptions, by name, such as ``{"jpeg": [90, 50]}``.
        watch: hears of the images, and gets the rows so far after each severity.

    Raises:
        MissingDependency: if nothing is left.
        UnusableRun, UnusableData, InvalidValue, UnknownName: as `sfic_bench.evaluate` does.
    """
    with training_packages():
        from sfic_bench.measure.devices import device_named
        from sfic_bench.training.inference import TrainedNetwork
        from sfic_bench.training.robustness import Measurement, all_damaged, by_variant, notes_of, scales
        from sfic_bench.training.runs import Run
        from sfic_bench.training.splits import UnreadablePaths

        chosen, left_out = _chosen(corruption, severity or {})
        damaged = all_damaged(chosen)
        manifest, part = manifest_of(data, compression), member(SplitName, split, "split")
        rows, machine = rows_of(manifest, part), device_named(device)
        groups = by_variant([TrainedNetwork(Run(path), machine, trust_code=trust_code) for path in paths_in(runs)])
        unreadable = UnreadablePaths(skip=skip_unreadable)
        measurement = Measurement(
            groups=groups, frame=rows, folder=manifest.folder, workers=workers, unreadable=unreadable
        )
        for note in (notes := [*left_out, *notes_of(groups)]):
            LOG.warning("%s", note)
        finished: list[RobustnessRow] = []

        def so_far() -> RobustnessResult:
            return RobustnessResult(
                environment=environment(), data=manifest.name, split=part.value, images=len(rows),
                runs=[str(path) for path in paths_in(runs)], unreadable=list(unreadable), notes=notes,
                corruptions=scales(damaged), rows=list(finished),
            )  # fmt: skip

        with watch.progress("scoring", len(damaged) * len(rows) * len(measurement.loadings())) as advance:
            for images in damaged:
                finished += measurement.rows(images, partial(advance, str(images)))
                watch.keep(so_far())
        tell_unreadable(list(unreadable))
        return so_far()


def _chosen(
    names: Names, severities: Mapping[str, Sequence[float]]
) -> "tuple[dict[Corruption, tuple[float, ...]], list[str]]":
    """The corruptions that were asked for with their severities, and which are left out, with the reason.

    Raises:
        UnknownName: for an unknown corruption.
        InvalidValue: for severities that cannot be used.
        MissingDependency: if nothing is left.
    """
    from sfic_bench.data.corruptions import CORRUPTIONS, corruptions

    wanted = corruptions(list(CORRUPTIONS) if names == "all" else names_in(names))
    if not wanted:
        raise InvalidValue(f"--corruption names none; expected some of {', '.join(CORRUPTIONS)}")
    chosen = {corruption: corruption.severities for corruption in wanted}
    for name, numbers in severities.items():
        (corruption,) = corruptions([name])
        if corruption not in chosen:
            among = ", ".join(one.name for one in wanted)
            raise InvalidValue(f"--severity {name}: it is not among the corruptions that are asked for, {among}")
        chosen[corruption] = tuple(dict.fromkeys(numbers))
    lacks = {corruption: lack for corruption in wanted if (lack := corruption.lack())}
    left_out = [f"{corruption.name} was left out: {lack}" for corruption, lack in lacks.items()]
    if len(lacks) == len(wanted):
        raise MissingDependency("; ".join(left_out))
    return {corruption: of for corruption, of in chosen.items() if corruption not in lacks}, left_out
