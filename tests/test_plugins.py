"""Plug-ins: the package in ``tests/plugin`` adds one thing of each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

PLUGIN = Path(__file__).parent / "plugin"


def run(*arguments: object, plugin: bool = True) -> tuple[int, str, str]:
    """Run a command in a new process, in which the plug-in is installed or not."""
    environment = dict(os.environ)
    if plugin:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH"))))
    call = [sys.executable, "-m", "sfic_bench", *map(str, arguments)]
    done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_plugin_adds_backbones_and_conventions_but_not_to_all() -> None:
    status, out, err = run("flops", "--backbone", "exam*", "--alpha", ".5", "--beta", ".5", "--format", "json")
    assert status == 0, err
    vanilla, sfic = json.loads(out)["rows"]
    assert vanilla["backbone"] == "example" and sfic["alpha"] == 0.5
    for row in (vanilla, sfic):
        assert 0 < row["macs"]["halves"] <= row["macs"]["conv-linear"] / 2
    # A name of this package stays its own.
    status, out, _ = run("flops", "--backbone", "resnet26", "--alpha", "none", "--format", "json")
    assert status == 0 and json.loads(out)["rows"][0]["params"] > 10**7
    _, out, _ = run("flops", "--backbone", "all", "--alpha", "none", "--format", "json")
    assert "example" not in {row["backbone"] for row in json.loads(out)["rows"]}
    status, out, _ = run("list", "--format", "json")
    names = {(row["kind"], row["name"]) for row in json.loads(out)["rows"]}
    assert {("model", "example"), ("convention", "halves"), ("path", "twice")} <= names
    assert run("flops", "--backbone", "example", plugin=False)[0] == 2


def test_a_plugin_adds_execution_paths() -> None:
    request = ("--backbone", "example", "--alpha", ".5", "--beta", "1", "--input-size", "32", "--batch-size", "1")
    status, out, err = run("latency", *request, "--path", "fused,twice", "--max-seconds", "2", "--format", "json")
    assert status == 0, err
    assert {(row["path"], row["status"]) for row in json.loads(out)["rows"]} == {("fused", "ok"), ("twice", "ok")}


def test_a_plugin_adds_corruptions() -> None:
    code = (
        "import numpy as np; from sfic_bench.data.corruptions import corruptions;"
        "(negative,) = corruptions(['negative']); print(negative.at(1)(np.full((2, 2, 3), 55, np.uint8), 0)[0, 0, 0])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGIN), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "200", done.stderr


def test_a_plugin_adds_importers(tmp_path: Path) -> None:
    for name in ("fake1", "real1", "real2"):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{name}.png")
    status, _, err = run("data", "import", "pictures", tmp_path, "-o", tmp_path / "manifest.csv")
    assert status == 0, err
    assert pd.read_csv(tmp_path / "manifest.csv")["label"].tolist() == [1, 0, 0]
    status, _, err = run("data", "extract", "pictures", tmp_path, "-o", tmp_path / "faces")
    assert status == 2 and "pictures has no videos" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "the plug-in broken of sfic-bench-example 1.0 (sfic_bench.importers) gives str, expected an object"),
        ("missing", "the plug-in missing of sfic-bench-example 1.0 (sfic_bench.importers) failed with ModuleNotFound"),
        ("nothing", "unknown kind of data set 'nothing'"),
    ],
)
def test_a_plugin_that_fails_is_named(tmp_path: Path, name: str, words: str) -> None:
    status, _, err = run("data", "import", name, tmp_path, "-o", tmp_path / "manifest.csv")
    assert status == 2 and words in err and err.count("\n") == 1, err
