"""A clock whose time the tests set, and contenders with known times."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from sfic_bench.measure.clock import Clock
from sfic_bench.measure.sampler import Contender


class FakeClock(Clock):
    """A clock on which each call takes the time that its contender returns."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.order: list[str] = []

    def now_s(self) -> float:
        return self.seconds

    def laps_ms(
        self,
        runs: Sequence[Callable[[], object]],
        before: Callable[[], object] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[float]:
        if before is not None:
            before()
        laps = [cast(tuple[str, float], run()) for run in runs]  # contenders from `takes` return their name and time
        if meanwhile is not None:
            meanwhile()
        self.order += [name for name, _ in laps]
        self.seconds += sum(ms for _, ms in laps) / 1e3
        return [ms for _, ms in laps]


def takes(name: str, *times: float) -> Contender:
    """A contender that takes ``times`` one after another, and then always the last of them."""
    left = list(times)
    return Contender(run=lambda: (name, left.pop(0) if len(left) > 1 else left[0]))


def never(_: Mapping[str, Sequence[float]]) -> float:
    """The width of an interval that never becomes narrow."""
    return float("inf")
