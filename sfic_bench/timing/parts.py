"""The parts of a training step with their intervals and ratios."""

from collections.abc import Mapping, Sequence

from sfic_bench.measure.sampler import Samples
from sfic_bench.measure.training_step import BACKWARD, FORWARD, OPTIMISER
from sfic_bench.results.timing import WHOLE, StepPart
from sfic_bench.statistics.intervals import median_of, paired_ratio


def step_parts(laps: Samples, vanilla: Samples | None) -> dict[str, StepPart]:
    """Each part that was timed, and the whole if all were; ratios to the same part of ``vanilla``, if it is given."""
    own, base = with_whole(laps), with_whole(vanilla or {})
    return {name: _part(times, base.get(name)) for name, times in own.items() if min(times) > 0}


def with_whole(laps: Samples) -> dict[str, Sequence[float]]:
    """``laps`` and their sum in each round, if they are all three parts of a step."""
    whole: Mapping[str, Sequence[float]] = {}
    if laps.keys() == {FORWARD, BACKWARD, OPTIMISER}:
        whole = {WHOLE: [sum(times) for times in zip(*laps.values(), strict=True)]}
    return {**laps, **whole}


def _part(times: Sequence[float], vanilla: Sequence[float] | None) -> StepPart:
    comparable = vanilla is not None and min(vanilla) > 0
    return StepPart(
        samples_ms=list(times),
        ms=median_of(times),
        ratio_to_vanilla=paired_ratio(times, vanilla) if vanilla is not None and comparable else None,
    )
