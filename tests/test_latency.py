"""Whole networks, small: which rows there are, what is checked before anything is timed."""

import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from sfic_bench import latency
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.measure import CpuClock, Ready, Stop
from sfic_bench.spec import EXECUTION_PATHS, Grid

SMALL = latency.Conditions(batch_size=2, input_size=48)
QUICK = Stop(max_seconds=2, min_rounds=3, max_rounds=5)
GRID = Grid(backbones=("mobilenet",), alphas=(0.5,), betas=(0.5,))


def measure(paths: list[str], conditions: latency.Conditions = SMALL) -> latency.Family:
    (family,) = latency.measure(GRID, paths, conditions, CpuClock(), QUICK)
    return family


def test_rows_are_checked_and_paired() -> None:
    family = measure(["reference", "fused", "cuda-graph"])
    assert [(str(r.variant), r.path) for r in family.rows] == [
        (v, p) for v in ("mobilenet", "mobilenet α=0.5 β=0.5") for p in ("reference", "fused", "cuda-graph")
    ]
    assert family.noise is not None and family.noise.low <= family.noise.high
    vanilla, _, missing, sfic, fused, _ = family.rows
    assert missing.status == "unavailable" and "CUDA" in missing.reason and missing.latency is None
    assert vanilla.ratio is None and vanilla.latency is not None
    assert len(vanilla.samples) == len(sfic.samples) == family.rounds
    for row in (sfic, fused):
        assert row.status == "ok" and row.ratio is not None and row.max_abs_error is not None
        assert row.peak_bytes["parameters"] > 0 and row.peak_bytes["peak_allocated"] > 0
    assert sfic.macs is not None and fused.macs is not None and fused.macs < sfic.macs
    assert sfic.fewer_macs_but_slower == (sfic.ratio.low > 1)


def test_a_wrong_path_is_told_and_gets_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(model: nn.Module, x: Tensor, training: bool) -> Ready:
        return Ready(run=lambda: model(x).detach() + 1, setup_s=0.0)

    monkeypatch.setattr(latency, "MAKERS", {**latency.MAKERS, "compiled": off_by_one})
    family = measure(["reference", "compiled"])
    wrong = [r for r in family.rows if r.path == "compiled"]
    assert {r.status for r in wrong} == {"wrong"}
    assert all(r.latency is None and "differs from the float64 reference" in r.reason for r in wrong)


def test_running_out_of_memory_is_a_rows_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(model: nn.Module, x: Tensor, training: bool) -> Ready:
        raise torch.OutOfMemoryError("tried to allocate 1 TiB")

    monkeypatch.setattr(latency, "MAKERS", {**latency.MAKERS, "compiled": greedy})
    family = measure(["reference", "compiled"])
    assert {r.status for r in family.rows if r.path == "compiled"} == {"unavailable"}
    assert {r.status for r in family.rows if r.path == "reference"} == {"ok"}


def test_training_steps() -> None:
    conditions = latency.Conditions(batch_size=2, input_size=64, training=True, channels_last=True)
    family = measure(["reference", "fused"], conditions)
    assert {r.status for r in family.rows} == {"ok"}


def test_conditions_are_validated() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bf16'"):
        latency.Conditions(dtype="bf15")
    with pytest.raises(InvalidValue, match="batch size"):
        latency.Conditions(batch_size=0)
    with pytest.raises(InvalidValue, match="training step"):
        measure(["reference"], latency.Conditions(batch_size=1, input_size=32, training=True))


def test_every_path_has_a_maker() -> None:
    assert {p.maker for p in EXECUTION_PATHS.values()} <= set(latency.MAKERS)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sfic_bench", "latency", *arguments], capture_output=True, text=True
    )


def test_command_line() -> None:
    small = ("--backbone", "mobilenet", "--alpha", "0.5", "--beta", "0.5", "--batch-size", "2")
    done = run(*small, "--input-size", "48", "--max-seconds", "2", "--format", "json")
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert document["schema"] == "sfic-bench/measurement/1"
    assert len(document["rows"]) == 4
    row = document["rows"][3]
    assert (row["path"], row["status"], row["batch_size"], row["device"]) == ("fused", "ok", 2, "cpu")
    assert row["latency_ms"]["median"] > 0 and len(row["ratio_to_vanilla"]["ci95"]) == 2
    assert document["families"][0]["vanilla_against_itself"]["median"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path", "fussed"], "did you mean 'fused'"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--dtype", "int8"], "unknown dtype 'int8'"),
        (["--batch-size", "0"], "batch size must be at least 1"),
        (["--max-seconds", "0"], "--max-seconds must be above 0"),
        (["--backbone", "vgg13", "--input-size", "16"], "needs an input of at least 32 pixels"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1
