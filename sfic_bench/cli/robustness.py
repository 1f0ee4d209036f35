"""``sfic-bench robustness``: scores of trained networks on corrupted images."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import INTERVALS_LEFT_OUT, Format, Output, View, progress, say
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.measure.conditions import Device
from sfic_bench.report.robustness_tables import robustness_tables
from sfic_bench.results.environment import environment
from sfic_bench.results.robustness import RobustnessResult, RobustnessRow

if TYPE_CHECKING:
    from sfic_bench.data.corruptions import Corruption


def robustness_command(
    runs: training_options.RunArguments,
    data: training_options.DataOption = "orl",
    compression: training_options.Compression = "",
    split: Annotated[SplitName, typer.Option(help="Which images are scored.")] = SplitName.TEST,
    corruption: Annotated[
        str,
        typer.Option(metavar="NAME[,…]|all", help="Of jpeg, blur, noise, resize, brightness and h264, or all."),
    ] = "all",
    severity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=X[,X…]",
            help="Severities of one corruption, such as jpeg=90,50; repeat it for others.",
            show_default=False,
        ),
    ] = None,
    device: options.DeviceOption = Device.CPU,
    workers: training_options.Workers = 0,
    skip_unreadable: training_options.SkipUnreadable = False,
    trust_code: training_options.TrustCode = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Score trained networks on images that are corrupted more and more: AUC against severity, with intervals.

    Each image is corrupted as it is stored, before it is resized for a network, and every network sees the same
    pixels. Vanilla and SFIC runs of one backbone are compared image by image; runs of one network with several seeds
    are one row.
    """  # fmt: skip
    out = Output(format=format, path=output)
    with training_options.training_packages():
        from sfic_bench.train.inference import TrainedNetwork
        from sfic_bench.train.robustness import Measurement, all_damaged, by_variant, notes_of, scales
        from sfic_bench.train.runs import Run
        from sfic_bench.train.splits import UnreadablePaths

        chosen, left_out = _chosen(corruption, severity or [])
        damaged = all_damaged(chosen)
        manifest = training_options.manifest_of(data, compression)
        rows = training_options.rows_of(manifest, split)
        groups = by_variant([TrainedNetwork(Run(run), device, trust_code=trust_code) for run in runs])
        unreadable = UnreadablePaths(skip=skip_unreadable)
        measurement = Measurement(
            groups=groups, frame=rows, folder=manifest.folder, workers=workers, unreadable=unreadable
        )
        for note in (notes := [*left_out, *notes_of(groups)]):
            say(f"sfic-bench: {note}")

        def view(done: Sequence[RobustnessRow]) -> View:
            result = RobustnessResult(
                environment=environment(), data=manifest.name, split=split.value, images=len(rows),
                runs=[str(run) for run in runs], unreadable=list(unreadable), notes=notes,
                corruptions=scales(damaged), rows=list(done),
            )  # fmt: skip
            remarks = [INTERVALS_LEFT_OUT] if format is Format.TABLE else []
            return View(result=result, tables=robustness_tables(result, *remarks), rows=result.rows)

        finished: list[RobustnessRow] = []
        try:
            with progress("scoring", len(damaged) * len(rows) * len(measurement.loadings())) as advance:
                for images in damaged:
                    finished += measurement.rows(images, partial(advance, str(images)))
                    out.keep(view(finished))
        except KeyboardInterrupt:
            kept = (
                f"{out.path} has what is finished" if out.path and finished else "-o FILE would keep what is finished"
            )
            say(f"sfic-bench: interrupted; {kept}")
            raise typer.Exit(130) from None
    out.emit(view(finished))
    training_options.report_unreadable(list(unreadable))


def _chosen(names: str, severities: Sequence[str]) -> "tuple[dict[Corruption, tuple[float, ...]], list[str]]":
    """The corruptions that were asked for with their severities, and which are left out, with the reason.

    Raises:
        UnknownName: for an unknown corruption.
        InvalidValue: for severities that cannot be used.
        MissingDependency: if nothing is left.
    """
    from sfic_bench.data.corruptions import CORRUPTIONS, corruptions

    wanted = corruptions(list(CORRUPTIONS) if names == "all" else options.parts(names))
    if not wanted:
        raise InvalidValue(f"--corruption names none; expected some of {', '.join(CORRUPTIONS)}")
    chosen = {corruption: corruption.severities for corruption in wanted}
    for text in severities:
        name, equals, numbers = text.partition("=")
        if not equals:
            raise InvalidValue(f"--severity takes NAME=X[,X…], such as jpeg=90,50, got {text!r}")
        (corruption,) = corruptions([name.strip()])
        if corruption not in chosen:
            raise InvalidValue(f"--severity {text}: {corruption.name} is not among --corruption {names}")
        chosen[corruption] = tuple(dict.fromkeys(options.decimals("--severity", numbers)))
    lacks = {corruption: lack for corruption in wanted if (lack := corruption.lack())}
    left_out = [f"{corruption.name} was left out: {lack}" for corruption, lack in lacks.items()]
    if len(lacks) == len(wanted):
        raise MissingDependency("; ".join(left_out))
    return {corruption: of for corruption, of in chosen.items() if corruption not in lacks}, left_out
