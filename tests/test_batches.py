"""Batch sizes one after another: what ends a search, what the result holds, and the largest batch that fits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.timings import GRID, MACHINE, QUICK, SMALL
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from sfic_bench import timing
from sfic_bench.comparing.alike import NotComparable
from sfic_bench.comparing.verdicts import compare
from sfic_bench.errors import LARGEST, InvalidValue
from sfic_bench.measure.conditions import Conditions, Device, parse_bytes
from sfic_bench.networks.variant import Variant
from sfic_bench.results.read import read
from sfic_bench.results.timing import Family, Fit, TimingResult, TimingRow, merged, throughput
from sfic_bench.results.write import to_json
from sfic_bench.statistics.interval import Interval
from sfic_bench.timing import memory_use
from sfic_bench.timing.memory_use import fits_of, largest_batch

Rates = Callable[[int], float]
"""Images a second at a batch size."""


def rows_at(batch: int, rates: Sequence[float], reason: str = "", total: int = 0) -> list[TimingRow]:
    """A vanilla row and an SFIC row with so many images a second, or with ``reason`` instead of a time."""
    rows = []
    for rate, alpha in zip(rates, (None, 0.5), strict=True):
        row = TimingRow(
            backbone="mobilenet", alpha=alpha, beta=alpha, path="fused", batch_size=batch, status="unavailable",
            reason=reason, peak_bytes={"total": total} if total else {},
        )  # fmt: skip
        if not reason:
            latency = Interval(estimate=1e3 * batch / rate)
            row = structs.replace(
                row, status="ok", samples_ms=[latency.estimate], latency_ms=latency,
                images_per_s=throughput(latency, batch),
            )  # fmt: skip
        rows.append(row)
    return rows


def many_rounds(_batch: int) -> int:
    return 9


def searched(
    monkeypatch: pytest.MonkeyPatch, rows: Callable[[int], list[TimingRow]], *, machine: timing.Machine = MACHINE,
    rounds: Callable[[int], int] = many_rounds, conditions: Conditions = SMALL, sizes: Sequence[int] | None = None,
) -> TimingResult:  # fmt: skip
    """The result of a search in which each batch size gives these ``rows``."""

    def time_family(
        members: Sequence[Variant], paths: object, at: Conditions, *_: object, **__: object
    ) -> tuple[Family, list[TimingRow]]:
        batch = at.batch_size
        family = Family(
            name=members[0].name, rounds=rounds(batch), stopped_by="time", vanilla_against_itself=None, batch_size=batch
        )
        return family, rows(batch)

    monkeypatch.setattr("sfic_bench.timing.batches.time_family", time_family)
    monkeypatch.setattr("sfic_bench.timing.batches.fits_of", lambda *_: [])
    *_, result = timing.measure_batches(GRID, ["fused"], conditions, machine, QUICK, sizes=sizes)
    return result


def test_a_search_ends_where_throughput_rises_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vanilla's rises up to 4 and SFIC's up to 16; two sizes more show that no more is to be had."""
    rates = {1: (10, 5), 2: (20, 8), 4: (30, 15), 8: (30, 25), 16: (31, 40), 32: (31, 41), 64: (30, 41)}
    result = searched(monkeypatch, lambda batch: rows_at(batch, rates[batch]))
    (curve,) = result.curves
    assert curve.batch_sizes == [1, 2, 4, 8, 16, 32, 64] and curve.ended_by == "throughput"
    assert curve.reason == "ended by throughput: batches of 32 and 64 gain +2.5% images a second at most, not over 5%"
    assert result.batch_sizes == curve.batch_sizes
    assert result.conditions is not None and result.conditions.batch_size == 1


def test_one_size_without_a_gain_may_be_an_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {1: 10.0, 2: 10.0, 4: 30.0, 8: 30.0, 16: 30.0}
    result = searched(monkeypatch, lambda batch: rows_at(batch, [rates[batch]] * 2))
    assert result.curves[0].batch_sizes == [1, 2, 4, 8, 16]


def test_a_search_ends_where_memory_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lack = "out of memory: CUDA out of memory. Tried to allocate 2 GiB"
    result = searched(monkeypatch, lambda batch: rows_at(batch, (batch, batch), lack if batch > 4 else ""))
    (curve,) = result.curves
    assert (curve.batch_sizes, curve.ended_by) == ([1, 2, 4, 8], "memory")
    assert curve.reason == f"at batch 8 mobilenet on fused found no memory: {lack}"


def test_a_search_keeps_to_a_limit_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image takes 100 MB, the weights 50: batch 8 takes 850 MB, and batch 16 would take 1,650."""
    machine = replace(MACHINE, memory_limit=1_000_000_000)
    rows = lambda batch: rows_at(batch, (batch, batch), total=50_000_000 + 100_000_000 * batch)  # noqa: E731
    (curve,) = searched(monkeypatch, rows, machine=machine).curves
    assert (curve.batch_sizes, curve.ended_by) == ([1, 2, 4, 8], "memory")
    assert curve.reason == "ended by memory: batch 16 would take 1.65 GB, and the limit is 1.00 GB"


@pytest.mark.parametrize(("device", "sizes"), [(Device.CPU, [1, 2, 4]), (Device.CUDA, [1, 2, 4, 8, 16])])
def test_on_a_cpu_half_of_the_free_memory_is_left(
    monkeypatch: pytest.MonkeyPatch, device: Device, sizes: list[int]
) -> None:
    """The check in float64 takes twice the 1.7 GB of batch 16; a CUDA device says itself when memory is out."""
    monkeypatch.setattr("sfic_bench.timing.batches.free_memory", lambda _: 2_000_000_000)
    conditions = structs.replace(SMALL, device=device)

    def rows(batch: int) -> list[TimingRow]:
        return rows_at(batch, (batch, batch), "out of memory" if batch == 16 else "", total=100_000_000 * batch)

    (curve,) = searched(monkeypatch, rows, conditions=conditions).curves
    assert (curve.batch_sizes, curve.ended_by) == (sizes, "memory")
    if device is Device.CPU:
        assert (
            "batch 8 and its check in float64 would take 1.60 GB, and half of what is free is 1.00 GB" in curve.reason
        )


def test_other_ends_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = searched(monkeypatch, lambda b: rows_at(b, (b, b)), rounds=lambda b: 9 if b < 4 else 2)
    assert (slow.curves[0].batch_sizes, slow.curves[0].ended_by) == ([1, 2, 4], "time")
    broken = searched(monkeypatch, lambda b: rows_at(b, (b, b), "no engine"))
    assert (broken.curves[0].batch_sizes, broken.curves[0].ended_by) == ([1], "failure")
    training = structs.replace(SMALL, training=True)
    listed = searched(monkeypatch, lambda b: rows_at(b, (1, 1)), conditions=training, sizes=[3, 5])
    assert (listed.curves[0].batch_sizes, listed.curves[0].ended_by) == ([3, 5], "list")
    found = searched(monkeypatch, lambda b: rows_at(b, (1, 1)), conditions=training)
    assert found.curves[0].batch_sizes == [2, 4, 8]  # BatchNorms train on two images


@pytest.fixture(scope="module")
def curve() -> TimingResult:
    """Two batch sizes of a small network, really timed."""
    results = list(timing.measure_batches(GRID, ["reference"], SMALL, MACHINE, QUICK, sizes=[1, 3]))
    assert [result.batch_sizes for result in results] == [[1], [1, 3], [1, 3]]
    assert [result.curves[0].ended_by for result in results] == ["interrupt", "interrupt", "list"]
    return results[-1]


def test_rows_have_their_batch_size(curve: TimingResult, tmp_path: Path) -> None:
    assert [(row.batch_size, row.alpha, row.key[3]) for row in curve.rows] == [
        (batch, alpha, f"reference, batch {batch}") for batch in (1, 3) for alpha in (None, 0.5)
    ]
    assert all(row.status == "ok" and row.images_per_s is not None for row in curve.rows)
    small, large = curve.rows[0], curve.rows[2]
    assert small.macs is not None and large.macs == 3 * small.macs
    for row in curve.rows:
        assert row.latency_ms is not None and row.images_per_s is not None and row.batch_size is not None
        assert row.images_per_s.estimate == pytest.approx(1e3 * row.batch_size / row.latency_ms.estimate)
        assert row.images_per_s.low == pytest.approx(1e3 * row.batch_size / (row.latency_ms.high or 0))
        # Inputs and what is allocated grow with the batch, the weights do not.
        assert row.peak_bytes["total"] > row.peak_bytes["parameters"] + 4 * row.batch_size * 3 * 48 * 48
    assert [(family.batch_size, len(family.best)) for family in curve.families] == [(1, 1), (3, 1)]
    assert curve.families[1].best[0].batch_size == 3
    path = tmp_path / "curve.json"
    path.write_text(to_json(curve))
    assert read(path).timing == curve


def test_files_of_batch_sizes_are_compared(curve: TimingResult, tmp_path: Path) -> None:
    path, single = tmp_path / "curve.json", tmp_path / "single.json"
    path.write_text(to_json(curve))
    rows = compare(read(path), read(path)).rows
    assert {row.where for row in rows} == {"reference, batch 1", "reference, batch 3"}
    single.write_text(to_json(structs.replace(curve, rows=curve.rows[:2], curves=[])))
    with pytest.raises(NotComparable, match=r"batch_size is several, by row in .* and 1 in "):
        compare(read(path), read(single))


def test_results_of_several_networks_become_one(curve: TimingResult) -> None:
    fit = Fit(
        backbone="mobilenet", alpha=None, beta=None, path="reference", layout=curve.rows[0].layout, batch_size=3,
        limit_bytes=9, total_bytes=8, basis="measured",
    )  # fmt: skip
    one = structs.replace(curve, fits=[fit])
    both = merged([one, one])
    assert both.rows == curve.rows and both.fits == [fit] and len(both.curves) == 2


@given(
    weights=st.integers(0, 10**6), image=st.integers(1, 10**4), limit=st.integers(0, 10**8), first=st.integers(1, 64),
    bump=st.integers(0, 300),
)  # fmt: skip
def test_the_largest_batch_is_found_by_few_measurements(
    weights: int, image: int, limit: int, first: int, bump: int
) -> None:
    """Memory grows by about the same for each image, with steps of ``bump`` that no line foresees."""

    def total(images: int) -> int:
        return weights + image * images + bump * (images // 7)

    asked: list[int] = []

    def measured(images: int) -> int:
        asked.append(images)
        return total(images)

    found = largest_batch({first: total(first), 2 * first: total(2 * first)}, limit, measured)
    if found.is_measured:
        assert found.images == 0 or total(found.images) <= limit
        assert total(found.images + 1) > limit
    assert len(asked) <= memory_use.TRIES
    if not bump:
        assert (found.is_measured or found.images == LARGEST) and len(asked) <= 3
    assert len(asked) == len(set(asked))


def test_what_cannot_be_measured_is_an_estimate() -> None:
    found = largest_batch({2: 300, 4: 500}, 10_050, lambda _: None)  # 100 bytes, and 100 for each image
    assert (found.images, found.total_bytes, found.is_measured) == (99, 10_000, False)
    assert largest_batch({2: 300}, 1_000, lambda _: None).images == 6  # in proportion
    assert largest_batch({2: 300, 4: 500}, 150, lambda _: None).images == 0


def test_the_largest_training_batch_is_measured() -> None:
    """The limit lies between what 5 and 6 images take, which are both run for it."""
    conditions = structs.replace(SMALL, training=True)
    vanilla = [Variant(backbone="mobilenet")]
    (result,) = timing.measure(vanilla, ["reference"], conditions, MACHINE, QUICK)
    known = {2: result.rows[0].peak_bytes["total"]}
    call = memory_use._CallMemory(vanilla[0], result.rows, known, conditions, 1, 60.0)
    five, six = call(5), call(6)
    assert five is not None and six is not None and known[2] < five < six
    machine = replace(MACHINE, memory_limit=(five + six) // 2)
    (fit,) = fits_of(vanilla, result.rows, conditions, machine, 60.0)
    assert (fit.batch_size, fit.basis, fit.total_bytes) == (5, "measured", five)
    assert fits_of(vanilla, result.rows, conditions, machine, 0.0)[0].basis == "estimated"  # no time to run any


def test_without_a_measurement_there_is_a_bound() -> None:
    lack = "at least 9.0 GB of memory are needed, and 8.0 GB are free"
    row = TimingRow(backbone="mobilenet", alpha=None, beta=None, path="fused", status="unavailable", reason=lack)
    machine = replace(MACHINE, memory_limit=2**30)
    (fit,) = fits_of([Variant(backbone="mobilenet")], [row], SMALL, machine, 1.0)
    (estimated,) = fits_of([Variant(backbone="mobilenet")], [row], structs.replace(SMALL, training=True), machine, 1.0)
    assert fit.basis == estimated.basis == "bound" and fit.batch_size > estimated.batch_size > 0
    assert fit.total_bytes <= 2**30


def test_a_lack_of_memory_is_closed_in_by_halves() -> None:
    """From 150 images on there is no memory, although the line promises 400; nobody knows how much is missing."""
    asked: list[int] = []

    def measured(images: int) -> int:
        asked.append(images)
        return 4001 if images >= 150 else 10 * images

    found = largest_batch({2: 20, 4: 40}, 4000, measured)
    assert (found.images, found.total_bytes, found.is_measured) == (149, 1490, True) and len(asked) <= memory_use.TRIES


def test_a_device_that_is_not_there_fits_nothing() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    conditions = structs.replace(SMALL, device=Device.CUDA, training=True)
    *_, result = timing.measure_batches(GRID, ["fused"], conditions, MACHINE, QUICK, sizes=None)
    assert result.fits == [] and result.curves[0].ended_by == "failure"
    assert result.curves[0].reason == "at batch 2 nothing could be timed: this machine has no CUDA device"


def test_no_memory_on_the_device_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> object:
        raise torch.OutOfMemoryError("tried to allocate 1 TiB")

    call: Any = memory_use._CallMemory(Variant(backbone="mobilenet"), rows_at(2, (1e6, 1e6)), {2: 10}, SMALL, 1000, 9.0)
    monkeypatch.setattr("sfic_bench.timing.forms.drawn", greedy)
    assert call(3) == 1001  # the device has more than the limit, so that the limit is exceeded
    monkeypatch.setattr(memory_use, "device_memory", lambda _: 999)
    assert call(3) is None  # a smaller device says nothing about the limit


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 * 2**30), ("80GB", 80 * 10**9), ("1.5 MiB", 3 * 2**19), ("512B", 512), ("2KB", 2000)]
)
def test_memory_is_read_with_its_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["8", "8G", "-1GB", "GiB", "", "0GB", "1e99GB", "9999999999999TiB", "½GB"])
def test_other_memory_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="expected a memory such as 8GiB"):
        parse_bytes(text)
