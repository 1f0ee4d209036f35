"""``sfic-bench deploy``: trained networks on other runtimes and in int8, accuracy beside time."""

from typing import Annotated

import typer

from sfic_bench.cli import options, training_options
from sfic_bench.cli.output import INTERVALS_LEFT_OUT, Format, Output, View
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue
from sfic_bench.report.deployment_tables import deployment_table
from sfic_bench.results.deployment import DeploymentResult
from sfic_bench.results.environment import environment


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
    with training_options.training_packages():
        from sfic_bench.deploy.calibration import evenly
        from sfic_bench.deploy.runtimes import RUNTIMES, runtimes_named
        from sfic_bench.deploy.scores import Deployment
        from sfic_bench.measure.sampler import Stop
        from sfic_bench.train.inference import TrainedNetwork
        from sfic_bench.train.robustness import by_variant, notes_of
        from sfic_bench.train.runs import Run
        from sfic_bench.train.splits import UnreadablePaths

        runtimes = runtimes_named(RUNTIMES if runtime == "all" else options.parts(runtime))
        manifest = training_options.manifest_of(data, compression)
        rows, examples = (training_options.rows_of(manifest, name) for name in (split, SplitName.TRAIN))
        if split is SplitName.TRAIN:
            raise InvalidValue("--split train would score the images on which the scales of int8 are found")
        groups = by_variant([TrainedNetwork(Run(run), trust_code=trust_code) for run in runs])
        unreadable = UnreadablePaths(skip=skip_unreadable)
        deployment = Deployment(
            groups=groups, runtimes=runtimes, frame=rows, calibration=evenly(examples, calibration),
            folder=manifest.folder, workers=workers, unreadable=unreadable,
        )  # fmt: skip
        result = DeploymentResult(
            environment=environment(), data=manifest.name, split=split.value, images=len(rows),
            calibration=len(deployment.calibration), batch_size=batch_size, runs=[str(run) for run in runs],
            rows=deployment.rows(batch_size, Stop(max_seconds=max_seconds)),
            unreadable=list(unreadable), notes=notes_of(groups),
        )  # fmt: skip
    remarks = [INTERVALS_LEFT_OUT] if format is Format.TABLE else []
    out.emit(View(result=result, tables=[deployment_table(result, *remarks)], rows=result.rows))
    training_options.report_unreadable(list(unreadable))
