"""A result of ``robustness`` with made-up scores."""

from collections.abc import Sequence

from sfic_bench.results.environment import Environment
from sfic_bench.results.robustness import CorruptionScale, RobustnessResult, RobustnessRow
from sfic_bench.statistics.interval import Interval

SCALES = (
    CorruptionScale(name="jpeg", title="JPEG compression", unit="quality", untouched=None, severities=[100, 50, 10]),
    CorruptionScale(name="blur", title="Gaussian blur", unit="σ in pixels", untouched=0, severities=[1, 3]),
    CorruptionScale(name="brightness", title="Brightness", unit="factor", untouched=1, severities=[0.5, 1.5]),
)


def around(estimate: float, half: float = 0.02) -> Interval:
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half)


def robustness_result(scales: Sequence[CorruptionScale] = SCALES) -> RobustnessResult:
    """ResNet-26 vanilla and SFIC; each severity costs vanilla 5 points more than the one before, and SFIC 3."""
    rows = []
    for alpha, loss, gain in ((None, 0.05, 0.0), (0.5, 0.03, 0.01)):
        places: list[tuple[str, float | None, str, int]] = [("clean", None, "", 0)]
        places += [(s.name, x, s.unit, i) for s in scales for i, x in enumerate(s.severities, 1)]
        for name, severity, unit, i in places:
            auc = 0.9 + gain - loss * i
            rows.append(
                RobustnessRow(
                    backbone="resnet26", alpha=alpha, beta=alpha, corruption=name, severity=severity, unit=unit,
                    images=1400, seeds=2, frame_auc=around(auc), video_auc=around(auc + 0.02, 0.04),
                    auc_over_vanilla=around(gain + 0.02 * i, 0.015) if alpha else None,
                )
            )  # fmt: skip
    return RobustnessResult(
        environment=Environment(), data="orl", split="test", images=1400, runs=["a", "b", "c", "d"], unreadable=[],
        notes=["h264 was left out: PyAV is not installed"], corruptions=list(scales), rows=rows,
    )  # fmt: skip
