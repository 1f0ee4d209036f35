"""``sfic-bench robustness``: scores of trained networks on corrupted images."""

from collections.abc import Sequence
from typing import Annotated

import typer
from msgspec import Struct

import sfic_bench
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import INTERVALS_LEFT_OUT, Format, Output, View, say
from sfic_bench.cli.terminal import Terminal, view_of
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue
from sfic_bench.measure.conditions import Device
from sfic_bench.reporting.robustness_tables import robustness_tables
from sfic_bench.results.robustness import RobustnessResult


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
    device: options.DeviceOption = Device.CPU.value,
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

    def view(result: Struct) -> View:
        remarks = [INTERVALS_LEFT_OUT] if format is Format.TABLE else []
        assert isinstance(result, RobustnessResult), result
        return view_of(result, tables=robustness_tables(result, *remarks))

    terminal = Terminal(out, view)
    try:
        result = sfic_bench.robustness(
            runs, data=data, compression=compression, split=split, corruption=corruption,
            severity=_severities(severity or []), device=device, workers=workers, skip_unreadable=skip_unreadable,
            trust_code=trust_code, watch=terminal,
        )  # fmt: skip
    except KeyboardInterrupt:
        is_kept = out.path is not None and terminal.latest is not None
        kept = f"{out.path} has what is finished" if is_kept else "-o FILE would keep what is finished"
        say(f"sfic-bench: interrupted; {kept}")
        raise typer.Exit(130) from None
    out.emit(view(result))


def _severities(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """The severities of corruptions that ``--severity`` gives, by name.

    Raises:
        InvalidValue: for text of another form.
    """
    severities = {}
    for text in texts:
        name, equals, numbers = text.partition("=")
        if not equals:
            raise InvalidValue(f"--severity takes NAME=X[,X…], such as jpeg=90,50, got {text!r}")
        severities[name.strip()] = options.decimals("--severity", numbers)
    return severities
