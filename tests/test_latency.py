"""The commands `sfic-bench latency` and `sfic-bench stage2`."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from helpers.command import run_command, run_python
from helpers.command import run_command_process as run

from sfic_bench.measure.limit import OutOfTime, TimeLimit

TWO_SMALL_NETWORKS = """
from torch import nn

def first(classes):
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), *head)

def second(classes):
    return first(classes)
"""


def test_command_line() -> None:
    small = ("--backbone", "mobilenet", "--alpha", "0.5", "--beta", "0.5", "--batch-size", "2")
    done = run("--quiet", "latency", *small, "--input-size", "48", "--max-seconds", "3", "--format", "json")
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert document["schema"] == "sfic-bench/measurement/2"
    assert len(document["rows"]) == 4
    row = document["rows"][3]
    assert (row["path"], row["status"]) == ("fused", "ok")
    assert (document["conditions"]["batch_size"], document["conditions"]["device"]) == (2, "cpu")
    assert row["latency_ms"]["estimate"] > 0 and row["ratio_to_vanilla"]["low"] > 0
    assert document["families"][0]["vanilla_against_itself"]["estimate"] > 0
    assert document["families"][0]["best"][0]["alpha"] == 0.5
    assert document["peak"]["macs_per_s"] > 0 and row["floor_ms"] > 0


def test_training_steps_over_batch_sizes_as_a_line_each(tmp_path: Path) -> None:
    layer = ("stage2", "--channels", "8", "--size", "8", "--kernel", "1", "--alpha", "0.5", "--beta", "0.5")
    how = ("--training", "--batch-size", "4,2,4", "--path", "fused", "--max-seconds", "3", "--rounds", "40")
    traces = tmp_path / "traces"
    status, out, err = run_command(*layer, *how, "--memory-limit", "1MB", "--format", "csv", "--profile", str(traces))
    assert status == 0, err
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [(line["batch_size"], line["alpha"]) for line in lines] == [("2", ""), ("2", "0.5"), ("4", ""), ("4", "0.5")]
    for line in lines:
        parts = [float(line[f"parts_{part}_ms"]) for part in ("forward", "backward", "optimiser")]
        whole = float(line["parts_whole step_ms"])
        assert whole == pytest.approx(sum(parts), rel=0.5) and whole > max(parts) > min(parts) > 0
        assert float(line["images_per_s"]) > 0 and float(line["peak_bytes_total"]) > 0
    names = {path.name for path in traces.iterdir()}
    assert names == {f"stage2-8ch-1x1{form}-fused-batch-{b}.json" for form in ("", "-a0.5-b0.5") for b in (2, 4)}


def test_one_layer_from_the_command_line() -> None:
    cell = ("--channels", "8", "--size", "12", "--alpha", "0.5", "--beta", "0.5", "--kernel", "1")
    done = run("--quiet", "stage2", *cell, "--max-seconds", "3", "--format", "json")
    assert done.returncode == 0 and done.stderr == ""
    rows = json.loads(done.stdout)["rows"]
    assert [(r["alpha"], r["path"], r["status"]) for r in rows] == [
        (None, "reference", "ok"),
        (None, "fused", "ok"),
        (0.5, "reference", "ok"),
        (0.5, "fused", "ok"),
    ]
    assert (rows[0]["layer"], rows[0]["channels"], rows[0]["kernel_size"]) == ("stage2", 8, 1)
    assert rows[3]["ratio_to_vanilla"]["estimate"] > 0


def test_every_row_names_the_device_that_this_machine_lacks() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = run("latency", "--device", "cuda", "--alpha", "0.5", "--beta", "1", "--format", "json")
    assert done.returncode == 2
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 4
    assert {(r["status"], r["reason"]) for r in rows} == {("unavailable", "this machine has no CUDA device")}


@pytest.mark.parametrize("moment", ["preparing", "sampling"])
def test_ctrl_c_keeps_what_was_finished(moment: str, tmp_path: Path) -> None:
    """The second backbone is interrupted; the first is on disk, and in the table."""
    path, two = tmp_path / "kept.json", tmp_path / "two.py"
    two.write_text(TWO_SMALL_NETWORKS)
    code = f"""
import sys
from sfic_bench.timing import prepare, run
from sfic_bench.cli.main import main
calls = 0
owner, name = (prepare.forms, "drawn") if {moment == "preparing"} else (run, "sample")
original = getattr(owner, name)
def interrupted(*arguments):
    global calls
    calls += 1
    if calls > {2 if moment == "preparing" else 1}:
        raise KeyboardInterrupt
    return original(*arguments)
setattr(owner, name, interrupted)
sys.argv = "sfic-bench latency --backbone {two}:first,{two}:second --alpha .5 --beta .5 --batch-size 2".split()
sys.argv += "--input-size 48 --path fused --max-seconds 3 --format json --output {path}".split()
main()
"""
    done = run_python("-c", code)
    assert done.returncode == 130 and "interrupted" in done.stderr
    rows = json.loads(path.read_text())["rows"]
    assert [(r["backbone"], r["status"]) for r in rows] == [(f"{two}:first", "ok")] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path", "fussed"], "did you mean 'fused'"),
        (["--device", "tpu"], "unknown device 'tpu'; did you mean 'cpu'? known: cpu, cuda"),
        (["--precision", "int8"], "'int8' is not one of 'fp32', 'tf32', 'fp16', 'bf16'"),
        (["--layout", "channel-last"], "is not one of 'contiguous', 'channels-last', 'both'"),
        (["--batch-size", "0"], "batch size must be at least 1"),
        (["--batch-size", "1,two"], "--batch-size takes whole numbers separated by commas, such as 1,2,4, or auto"),
        (["--batch-size", ","], "--batch-size takes whole numbers"),
        (["--batch-size", "9" * 5000], "--batch-size takes whole numbers"),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--memory-limit", "8"], "expected a memory such as 8GiB or 80GB, got '8'"),
        (["--max-seconds", "0"], "--max-seconds must be above 0"),
        (["--backbone", "vgg13", "--input-size", "16"], "needs an input of at least 32 pixels"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], words: str) -> None:
    done = run("latency", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_check_that_takes_too_long_ends() -> None:
    call = ("latency", "--backbone", "mobilenet", "--alpha", "none", "--max-seconds", "0.01")
    status, _, err = run_command(*call, "--input-size", "64", "--batch-size", "1")
    assert status == 2 and "its check took longer than the time limit of 0.01 s: raise --max-seconds" in err
    limit = TimeLimit(1.0, iter((0.0, 0.5, 2.0, 2.5)).__next__)
    with pytest.raises(OutOfTime), limit:
        torch.ones(1)
        torch.ones(1)
    assert limit.spent == 2.5
