"""A result of ``deploy`` with made-up figures."""

from helpers.robustness import around
from sfic_bench.results.deployment import DeploymentResult, DeploymentRow
from sfic_bench.results.environment import Environment
from sfic_bench.statistics.intervals import median_of, paired_ratio


def deployment_result() -> DeploymentResult:
    """ResNet-26 vanilla and SFIC; int8 takes a third of the time and costs 0.4 points."""
    rows = []
    for alpha, slower in ((None, 1.0), (0.5, 0.7)):
        for runtime, factor, loss in (("torch", 1.0, 0.0), ("onnxruntime", 0.8, 0.0), ("onnxruntime-int8", 0.3, 0.004)):
            times = [10 * slower * factor * (1 + 0.01 * i) for i in range(7)]
            by_torch = [10 * slower * (1 + 0.01 * i) for i in range(7)]
            by_vanilla = [10 * factor * (1 + 0.01 * i) for i in range(7)]
            is_torch = runtime == "torch"
            rows.append(
                DeploymentRow(
                    backbone="resnet26", alpha=alpha, beta=alpha, runtime=runtime,
                    details="torch 2.13.0, CPU, 2 threads" if is_torch else "ONNX Runtime 1.32.0, CPU, 2 threads",
                    input_size=224, file_bytes=14_300_000 if "int8" in runtime else 55_900_000, images=1400, seeds=2,
                    frame_auc=around(0.9 - loss), video_auc=around(0.92 - loss, 0.04),
                    auc_over_torch=None if is_torch else around(-loss, 0.002),
                    samples_ms=times, latency_ms=median_of(times),
                    ratio_to_torch=None if is_torch else paired_ratio(times, by_torch),
                    ratio_to_vanilla=None if alpha is None else paired_ratio(times, by_vanilla),
                )
            )  # fmt: skip
    return DeploymentResult(
        environment=Environment(), data="orl", split="test", images=1400, calibration=256, batch_size=4,
        runs=["a", "b", "c", "d"], unreadable=[], notes=[], rows=rows,
    )  # fmt: skip
