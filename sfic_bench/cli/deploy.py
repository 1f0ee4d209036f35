"""``sfic-bench deploy``: trained networks on other runtimes and in int8, accuracy beside time."""

from typing import Annotated

import typer

import sfic_bench
from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import INTERVALS_LEFT_OUT, Format, Output
from sfic_bench.cli.terminal import view_of
from sfic_bench.data.choices import SplitName
from sfic_bench.reporting.deployment_tables import deployment_table


def deploy_command(
    runs: training_options.RunArguments,
    data: training_options.DataOption = "orl",
    compression: training_options.Compression = "",
    split: Annotated[SplitName, typer.Option(help="Which images are scored.")] = SplitName.TEST,
    runtime: Annotated[
        str,
        typer.Option(
            metavar="NAME[,…]|all",
            help="Of onnxruntime, onnxruntime-int8, openvino and openvino-int8, or all; torch is always there.",
        ),
    ] = "onnxruntime,onnxruntime-int8",
    calibration: training_options.Calibration = 256,
    batch_size: options.BatchSize = 1,
    max_seconds: options.MaxSeconds = 30.0,
    workers: training_options.Workers = 0,
    skip_unreadable: training_options.SkipUnreadable = False,
    trust_code: training_options.TrustCode = False,
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Run trained networks by ONNX Runtime and OpenVINO, in float32 and int8: what is lost, and what is gained.

    Each network is fused, written for the runtime and scored there on the same images as by torch; int8 takes its
    scales from images of the split train. All are timed on the CPU in rounds that alternate in order. Runs of one
    network with several seeds are one row.
    """  # fmt: skip
    out = Output(format=format, path=output)
    result = sfic_bench.deploy(
        runs, data=data, compression=compression, split=split, runtime=runtime, calibration=calibration,
        batch_size=batch_size, max_seconds=max_seconds, workers=workers, skip_unreadable=skip_unreadable,
        trust_code=trust_code,
    )  # fmt: skip
    remarks = [INTERVALS_LEFT_OUT] if format is Format.TABLE else []
    out.emit(view_of(result, tables=[deployment_table(result, *remarks)]))
