"""Choices of ``train`` and ``accuracy``, and what they show of a training."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.command import run_command
from helpers.training import SIZE, recipe, small_splits, write_splits
from rich.console import Console

from sfic_bench.cli.output import progress
from sfic_bench.cli.training_progress import EpochLines, training_progress
from sfic_bench.measure.conditions import Device
from sfic_bench.training.loop import TrainingProgress
from sfic_bench.training.recipe import Precision, TrainingDevices

EPOCH_END = TrainingProgress(
    epoch=3, epochs=5, step=10, steps=10, loss=0.25, images_per_s=99.6, auc=0.875, is_epoch_end=True
)


def test_plain_strings_are_understood() -> None:
    options: dict[str, Any] = {"device": "cuda"}
    assert TrainingDevices(**options).device is Device.CUDA
    precision = recipe(precision="bf16").precision
    assert precision is Precision.BF16 and json.dumps([precision]) == '["bf16"]'


@pytest.mark.parametrize(
    ("arguments", "choices"),
    [
        (("accuracy", "--runs", "x", "--protocol", "inter"), ("'intra'", "'leave-one-out'", "'cross'")),
        (("train", "-o", "x", "--precision", "fp8"), ("'fp32'", "'bf16'", "'fp16'")),
        (("evaluate", "x", "--split", "dev"), ("'train'", "'val'", "'test'")),
        (("data", "import", "ff", "x", "-o", "m.csv"), ("known: ffpp, dfdc", "folder")),
        (("data", "extract", "ffpp", "x", "-o", "y", "--image", "gif"), ("'png'", "'jpeg'")),
    ],
)
def test_an_unknown_choice_is_one_line_that_lists_the_choices(
    arguments: tuple[str, ...], choices: tuple[str, ...]
) -> None:
    status, _, err = run_command(*arguments)
    assert status == 2 and err.count("\n") == 1 and all(choice in err for choice in choices)


def test_a_line_an_epoch_says_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([100.0, 190.0])
    lines = EpochLines("mobilenet, seed 7", clock=lambda: next(times))  # resumed after epoch 2, so 90 s for epoch 3
    lines(EPOCH_END)
    assert capsys.readouterr().err == (
        "mobilenet, seed 7: epoch 3 of 5, loss 0.250, validation AUC 0.875, 100 images/s, 3:00 left\n"
    )


def test_a_long_epoch_has_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 10.0, 40.0, 50.0, 80.0])
    lines = EpochLines("mobilenet", clock=lambda: next(times))
    for step in (1, 2, 3, 4):
        lines(replace(EPOCH_END, epoch=1, step=step, steps=8, auc=None, is_epoch_end=False))
    # Half of the first of five epochs took 80 s, so all of it 160 s, and the rest 720 s.
    assert [line.partition(" loss")[0] for line in capsys.readouterr().err.splitlines()] == [
        "mobilenet: epoch 1 of 5, step 2 of 8,",
        "mobilenet: epoch 1 of 5, step 4 of 8,",
    ]


def test_other_long_work_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfic_bench.cli.output.SAID_EVERY_S", 0.05)
    with progress("counting", 3) as advance:
        time.sleep(0.2)
        advance("resnet26")
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "counting: 0 of 3, time left unknown"
    assert lines[-1] == "counting: 1 of 3, last resnet26, 0:00 left"


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sfic_bench.training.loop.train", stop)
    manifest = write_splits(small_splits(tmp_path))
    status, _, err = run_command("train", "--data", manifest, "-o", tmp_path / "run")
    assert status == 130 and "the same command with --resume goes on" in err


def test_a_terminal_has_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    with training_progress("mobilenet, seed 7") as listener:
        assert listener is not None
        listener(EPOCH_END)
    err = capsys.readouterr().err
    assert "epoch 3/5" in err and "AUC 0.875" in err and "epoch 3 of 5" not in err


def test_without_a_terminal_epochs_and_runs_have_lines(tmp_path: Path) -> None:
    manifest = write_splits(small_splits(tmp_path))
    common = ("--data", manifest, "--input-size", str(SIZE), "--batch-size", "8", "--backbone", "mobilenet")
    status, _, err = run_command("train", *common, "--epochs", "2", "-o", tmp_path / "run")
    lines = err.splitlines()
    assert status == 0 and len(lines) == 2
    assert lines[0].startswith("mobilenet, seed 7: epoch 1 of 2, loss ") and lines[1].endswith(" 0:00 left")
    assert "validation AUC" in lines[0] and " images/s, " in lines[0]

    options = ("--epochs", "1", "--alpha", "none", "--seeds", "1,2")
    status, _, err = run_command("accuracy", "--runs", tmp_path / "runs", *common, *options)
    assert status == 0
    assert [line.partition(", loss")[0] for line in err.splitlines()] == [
        "mobilenet, noise, seed 1: epoch 1 of 1",
        "mobilenet, noise, seed 1, tested on noise: finished, 1 of 2",
        "mobilenet, noise, seed 2: epoch 1 of 1",
        "mobilenet, noise, seed 2, tested on noise: finished, 2 of 2",
    ]
