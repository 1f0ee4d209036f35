"""Timings of a small network that take a second or two."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from sfic_bench import timing
from sfic_bench.measure import paths
from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.paths import EXECUTION_PATHS, Maker
from sfic_bench.measure.peak import Peak
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.timing import TimingResult

SMALL = Conditions(batch_size=2, input_size=48)
QUICK = Stop(max_seconds=2, min_rounds=3, max_rounds=5)
GRID = Grid(backbones=("mobilenet",), alphas=(0.5,), betas=(0.5,))
MACHINE = timing.Machine(clock=CpuClock(), peak=Peak(macs_per_s=1e12, bytes_per_s=1e12))


def measure(
    paths: list[str],
    conditions: Conditions = SMALL,
    subjects: Iterable[Variant | Stage2Layer] = GRID,
    machine: timing.Machine = MACHINE,
) -> TimingResult:
    """Time networks or layers of one family on ``paths``."""
    (result,) = timing.measure(subjects, paths, conditions, machine, QUICK)
    return result


def replace_maker(monkeypatch: pytest.MonkeyPatch, path: str, maker: Maker) -> None:
    """Let ``maker`` prepare networks for the execution path ``path``."""
    monkeypatch.setitem(paths._OWN, path, replace(EXECUTION_PATHS[path], maker=maker))
