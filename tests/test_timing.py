"""Timing small networks and layers: the rows of a result and their figures."""

from importlib import import_module
from typing import cast

import pytest
import torch
from helpers.timings import SMALL, measure, replace_maker

from sfic_bench import timing
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.conditions import Conditions, MemoryLayout, NumberFormat
from sfic_bench.measure.execution import eager
from sfic_bench.measure.monitor import NvmlMonitor, Reading
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.statistics.intervals import paired_ratio
from sfic_bench.timing import forms


def test_rows_are_checked_and_paired() -> None:
    result = measure(["reference", "fused", "cuda-graph"])
    assert [(r.network, r.path) for r in result.rows] == [
        (v, p) for v in ("mobilenet", "mobilenet α=0.5 β=0.5") for p in ("reference", "fused", "cuda-graph")
    ]
    noise = result.families[0].vanilla_against_itself
    assert noise is not None and noise.low is not None
    vanilla, _, missing, sfic, fused, _ = result.rows
    assert missing.status == "unavailable" and "CUDA" in missing.reason and missing.latency_ms is None
    assert vanilla.ratio_to_vanilla is None and vanilla.latency_ms is not None
    assert len(vanilla.samples_ms) == len(sfic.samples_ms) == result.families[0].rounds
    for row in (sfic, fused):
        assert row.status == "ok" and row.ratio_to_vanilla is not None and row.max_abs_error is not None
        assert row.peak_bytes["parameters"] > 0 and row.peak_bytes["peak_allocated"] > 0
    assert sfic.macs is not None and fused.macs is not None and fused.macs < sfic.macs
    assert sfic.ratio_to_vanilla is not None
    assert sfic.fewer_macs_but_slower == sfic.ratio_to_vanilla.is_above(1)


def test_both_layouts_take_turns_and_the_best_is_of_both() -> None:
    conditions = Conditions(batch_size=2, input_size=48, layout=MemoryLayout.BOTH)
    result = measure(["reference", "fused"], conditions)
    assert [(r.path, r.layout) for r in result.rows[:4]] == [
        ("reference", "contiguous"),
        ("reference", "channels-last"),
        ("fused", "contiguous"),
        ("fused", "channels-last"),
    ]
    sfic = result.rows[4:]
    assert all(r.ratio_to_vanilla is not None for r in sfic)
    for row, vanilla in zip(sfic, result.rows, strict=False):
        assert row.ratio_to_vanilla == paired_ratio(row.samples_ms, vanilla.samples_ms)
    (best,) = result.families[0].best
    for place, rows in (
        ((best.path, best.layout), sfic),
        ((best.vanilla_path, best.vanilla_layout), result.rows[:4]),
    ):
        times = {(r.path, r.layout): r.latency_ms.estimate for r in rows if r.latency_ms is not None}
        assert times[place] == min(times.values())


class FakeMonitor(NvmlMonitor):
    """Watches a device that is never throttled."""

    def __init__(self) -> None:
        pass

    def read(self) -> Reading:
        return Reading(sm_clock_mhz=1980)


@pytest.mark.parametrize("energy", [True, False])
def test_energy_is_counted_on_request_and_once_a_graph(monkeypatch: pytest.MonkeyPatch, energy: bool) -> None:
    counted = []

    def count(run: object, *_: object) -> float:
        counted.append(run)
        return 2.0 * len(counted)

    replace_maker(monkeypatch, "cuda-graph", eager)
    monkeypatch.setattr("sfic_bench.timing.run.energy_per_call_j", count)
    machine = timing.Machine(clock=CpuClock(), flush=lambda: None, monitor=FakeMonitor())
    conditions = Conditions(batch_size=2, input_size=48, energy=energy)
    rows = measure(["cuda-graph", "fused"], conditions, machine=machine).rows
    assert [r.l2 for r in rows[:3]] == ["flushed", "warm", "flushed"]
    expected = [1.0, 1.0, 2.0, 3.0, 3.0, 4.0] if energy else [None] * 6
    assert [r.energy_per_image_j for r in rows] == expected and len(counted) == (4 if energy else 0)


def test_training_steps() -> None:
    conditions = Conditions(batch_size=2, input_size=64, training=True, layout=MemoryLayout.CHANNELS_LAST)
    result = measure(["reference", "fused"], conditions)
    assert {r.status for r in result.rows} == {"ok"}
    assert all(isinstance(r.gradient_error, float) and 0 < r.gradient_error < 0.1 for r in result.rows)
    inference = measure(["reference"])
    floors = [f.rows[0].floor_ms for f in (result, inference)]
    assert floors[0] is not None and floors[1] is not None and floors[0] > floors[1]


def test_a_network_with_dropout_is_checked_too() -> None:
    conditions = Conditions(batch_size=2, input_size=64, training=True)
    result = measure(["reference"], conditions, [Variant(backbone="alexnet")])
    assert [r.status for r in result.rows] == ["ok"], result.rows[0].reason


LAYERS = [
    Stage2Layer(channels=8),
    *(Stage2Layer(channels=8, alpha=a, beta=b) for a in (0.0, 0.5, 1.0) for b in (0.3, 0.5, 1.0)),
]


@pytest.mark.parametrize("training", [False, True])
def test_single_layers(training: bool) -> None:
    conditions = Conditions(batch_size=2, input_size=12, training=training)
    result = measure(["reference", "fused"], conditions, LAYERS)
    assert [r.status for r in result.rows] == ["ok"] * 20
    vanilla = result.rows[0]
    assert vanilla.macs == 2 * 12 * 12 * 8 * 8 * 9 and vanilla.name == "stage2 8ch 3×3"
    by_cell = {(r.alpha, r.beta, r.path): r for r in result.rows}
    assert by_cell[0.5, 0.5, "fused"].macs == (1 / 4 + 3 / 4 / 4) * vanilla.macs
    assert by_cell[0.5, 0.5, "reference"].macs == (1 / 2 + 1 / 2 / 4) * vanilla.macs
    assert by_cell[0.5, 1.0, "fused"].macs == vanilla.macs
    assert len(result.families[0].best) == 9


def test_best_is_the_fastest_path_of_each() -> None:
    result = measure(["reference", "fused"])
    (best,) = result.families[0].best
    for path, of_sfic in ((best.path, True), (best.vanilla_path, False)):
        times = {r.path: r.latency_ms.estimate for r in result.rows if r.is_vanilla != of_sfic and r.latency_ms}
        assert times[path] == min(times.values())


def test_floors_and_their_ratio() -> None:
    result = measure(["reference"])
    row = result.rows[0]
    # A large layer's floor is its arithmetic at 1e12 MAC/s; in small layers memory traffic adds to it.
    assert row.macs is not None and row.floor_ms is not None and row.floor_ms >= row.macs / 1e9
    assert row.latency_ms is not None and row.over_floor == row.latency_ms.estimate / row.floor_ms


def test_a_flushed_cache_and_a_warm_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA graphs are timed with a flushed and with a warm cache; here an eager call on the CPU stands in for one."""
    flushes = []
    replace_maker(monkeypatch, "cuda-graph", eager)
    machine = timing.Machine(clock=CpuClock(), flush=lambda: flushes.append(1))
    result = measure(["fused", "cuda-graph"], machine=machine)
    assert [(r.path, r.l2) for r in result.rows[:3]] == [
        ("fused", "flushed"),
        ("cuda-graph", "flushed"),
        ("cuda-graph", "warm"),
    ]
    # Two of the three rows flush the cache; vanilla's first row runs twice.
    rounds = result.families[0].rounds + 3
    assert len(flushes) >= 5 * rounds and len(flushes) % 5 == 0
    assert all(r.ratio_to_vanilla is not None for r in result.rows[3:])
    (best,) = result.families[0].best
    flushed = [r for r in result.rows[3:] if r.l2 == "flushed" and r.path == best.path]
    assert len(flushed) == 1


def test_drawing_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    forms.drawn(Variant(backbone="mobilenet"), SMALL)
    assert torch.equal(torch.rand(3), expected)


def test_layers_are_validated() -> None:
    with pytest.raises(InvalidValue, match="kernel size must be odd"):
        Stage2Layer(channels=8, kernel_size=2)
    with pytest.raises(InvalidValue, match="channels must be at least 1"):
        Stage2Layer(channels=0)
    with pytest.raises(InvalidValue, match="a layer is vanilla"):
        Stage2Layer(channels=8, alpha=0.5)
    assert str(Stage2Layer(channels=8, alpha=0.5, beta=1.0)) == "stage2 8ch 3×3 α=0.5 β=1"


def test_conditions_are_validated() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bf16'"):
        Conditions(dtype=cast(NumberFormat, "bf15"))
    with pytest.raises(InvalidValue, match="batch size"):
        Conditions(batch_size=0)
    with pytest.raises(InvalidValue, match="training step"):
        measure(["reference"], Conditions(batch_size=1, input_size=32, training=True))


def test_every_path_has_a_maker() -> None:
    for path in EXECUTION_PATHS.values():
        module, _, function = str(path.maker).partition(":")
        assert callable(getattr(import_module(module), function))
