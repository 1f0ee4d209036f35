"""The command line in a process of its own: what it prints, and its exit status."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import run_command, run_python
from helpers.command import run_command_process as run

import sfic_bench
from sfic_bench.extras import install_command
from sfic_bench.networks import registry
from sfic_bench.paper import DETECTORS


def test_flops_json() -> None:
    done = run("flops", "--backbone", "resnet50,vgg13", "--alpha", "0.5", "--beta", "1", "--format", "json")
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert document["schema"] == "sfic-bench/cost/1"
    assert document["environment"]["packages"]["torch"]
    rows = document["rows"]
    assert [(r["backbone"], r["alpha"], r["beta"]) for r in rows] == [
        ("resnet50", None, None),
        ("resnet50", 0.5, 1.0),
        ("vgg13", None, None),
        ("vgg13", 0.5, 1.0),
    ]
    row = rows[1]
    assert (row["input_size"], row["classes"], row["params"]) == (256, 2, 23_513_730)
    assert row["macs"]["paper"] == 5_383_819_266
    assert row["unsupported"]["paper"]["conv (functional)"] == 1
    assert row["params_over_vanilla"] == {"MCSConv": 1600, "unexplained": 0}
    assert all(isinstance(v, int) for r in rows for v in r["macs"].values())


def test_flops_defaults_to_the_papers_grid_of_every_backbone() -> None:
    done = run("flops", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 11 * 13
    assert {(r["alpha"], r["beta"]) for r in rows} == {("", "")} | {
        (a, b) for a in ("0.25", "0.5", "0.75") for b in ("0.25", "0.5", "0.75", "1.0")
    }
    (row,) = (r for r in rows if (r["backbone"], r["alpha"], r["beta"]) == ("resnet26", "0.75", "0.5"))
    assert row["macs_paper"] == "1610434562"


def test_flops_table_in_a_pipe_has_no_colour_and_no_bar() -> None:
    done = run("flops", "--backbone", "resnet26", "--alpha", "0.5", "--beta", "0.5")
    assert done.stderr == "" and "\x1b" not in done.stdout
    assert "0.683" in done.stdout and "conv-linear" in done.stdout


def test_per_layer_adds_up() -> None:
    request = ("flops", "--backbone", "mobilenet", "--alpha", "0.5", "--beta", "0.5", "--per-layer")
    done = run(*request, "--format", "json")
    for row in json.loads(done.stdout)["rows"]:
        for convention, macs in row["macs"].items():
            assert sum(layer["macs"][convention] or 0 for layer in row["layers"]) == macs
        assert sum(layer["params"] for layer in row["layers"]) == row["params"]
    assert "features.1.0.mcs" in run(*request).stdout


def test_peers_end_in_unexplained_0() -> None:
    done = run("flops", "--backbone", "resnet26", "--alpha", "0.5", "--beta", "0.5", "--input-size", "64", "--peers")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("unexplained: 0") == 2
    assert "counts batch_norm twice" in done.stdout


def test_input_size_and_classes() -> None:
    done = run(
        *("flops", "--backbone", "resnet26", "--alpha", "0.5", "--beta", "1", "--format", "json"),
        *("--input-size", "224", "--classes", "1000"),
    )
    vanilla = json.loads(done.stdout)["rows"][0]
    assert (vanilla["input_size"], vanilla["params"]) == (224, 13_950_274 + 998 * 2049)


def test_audit() -> None:
    done = run("audit", "--format", "json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    rows = document["rows"]
    assert list(rows[0]) == [*("table", "model", "alpha", "beta", "quantity", "printed", "measured", "verdict", "note")]
    own = [r for r in rows if r["quantity"] == "macs" and r["model"] not in DETECTORS]
    assert len(own) == 32 and {r["verdict"] for r in own} == {"match"}
    assert all(p["unexplained"] == 0 for p in document["parity"])
    assert {r["backbone"] for r in document["unprinted"]} == {
        *("alexnet", "densenet121", "efficientnet_b0", "resnet152")
    }
    assert {p["backbone"] for p in document["parity"]} == set(registry.names())
    assert [c["stated"] for c in document["claims"]] == [
        "reduces FLOPs by 10%",
        "decreased by 91.30%",
        "by 37.14%",
    ]


def test_audit_markdown_and_file(tmp_path: Path) -> None:
    target = tmp_path / "audit.md"
    done = run("audit", "--format", "markdown", "--output", str(target))
    assert done.returncode == 0 and done.stdout == "" and f"wrote {target}" in done.stderr
    assert target.read_text().startswith("### Guo et al.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backbone", "resnt50"], "unknown backbone 'resnt50'; did you mean 'resnet50'?"),
        (["--backbone", ","], "backbones is empty"),
        (["--alpha", "1.5"], "alpha must lie in [0, 1], got 1.5"),
        (["--alpha", "nan"], "got nan"),
        (["--alpha", "half"], "--alpha takes numbers separated by commas"),
        (["--alpha", ""], "--alpha takes numbers separated by commas"),
        (["--beta", "0"], "beta must lie in (0, 1], got 0.0"),
        (["--backbone", "vgg13", "--input-size", "20"], "vgg13 needs an input of at least 32 pixels, got 20"),
        (["--input-size", "0"], "input size must be at least 1, got 0"),
        (["--classes", "0"], "classes must be at least 1"),
        (["--convention", "papre"], "unknown convention 'papre'; did you mean 'paper'?"),
        (["--output", "/nowhere/x.json"], "there is no folder /nowhere"),
        (["--format", "xml"], "'xml'"),
        (["--bogus"], "--bogus"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], words: str) -> None:
    done = run("flops", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_unknown_command_is_one_line() -> None:
    done = run("flop")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1


def test_list_env_version() -> None:
    listed = json.loads(run("list", "--format", "json").stdout)["rows"]
    names = {(r["kind"], r["name"]) for r in listed}
    assert {("model", "resnet50"), ("convention", "paper"), ("path", "reference")} <= names
    env = run("env").stdout
    assert "torch" in env and "cpu (" in env
    assert run("--version").stdout == f"sfic-bench {sfic_bench.__version__}\n"


def test_env_names_the_command_that_adds_what_is_missing() -> None:
    code = (
        "import sys; from sfic_bench.cli import main; from sfic_bench.commands import tables;"
        "tables.version_of = lambda name: None if name == 'thop' else '1';"
        "sys.argv = ['sfic-bench', 'env']; main.main()"
    )
    done = run_python("-c", code)
    assert re.search("thop +missing +" + re.escape(install_command("peers")), done.stdout)


def test_explain() -> None:
    done = run("explain", "--backbone", "resnet26", "--format", "json")
    assert done.returncode == 0 and done.stderr == ""
    roles = {r["path"]: r["role"] for r in json.loads(done.stdout)["rows"]}
    assert roles["conv1"] == "vanilla" and roles["layer1.0.conv1"] == "Stage 1"
    assert roles["layer2.0.conv2"] == "Stage 2" and roles["layer4.0.conv3"] == "Stage 3"
    assert roles["layer4.1.conv1"] == "vanilla" and "layer1.0.bn1" not in roles
    table = run("explain", "--backbone", "densenet121", "--all").stdout
    assert "Stage 1: 1" in table and "divide" in table and "BatchNorm2d" in table


def test_help_imports_neither_torch_nor_numpy() -> None:
    code = """
import sys
from sfic_bench.cli.main import main

sys.argv = ["sfic-bench", "--help"]
try:
    main()
except SystemExit:
    pass
assert not {"torch", "numpy", "pandas"} & sys.modules.keys()
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_completion_script() -> None:
    done = run("flops", "--backbone", "x", _SFIC_BENCH_COMPLETE="")
    assert done.returncode == 2
    script = subprocess.run(
        ["sfic-bench"],
        env={**os.environ, "_SFIC_BENCH_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
    )
    assert "complete" in script.stdout


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    done = subprocess.run(f"{sys.executable} -m sfic_bench audit | head -1", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_an_interrupt_while_the_package_is_imported_is_quiet() -> None:
    code = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "sfic_bench.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from sfic_bench.__main__ import main
main()
"""
    done = run_python("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    status, _, err = run_command("export", "-o", tmp_path)
    assert status == 2 and "it is a folder; name a file in it" in err
    report, picture = tmp_path / "counts.json", tmp_path / "picture"
    assert run_command("flops", "--backbone", "mobilenet", "--format", "json", "-o", report)[0] == 0
    picture.touch()
    status, _, err = run_command("report", report, "-o", tmp_path / "page.html", "--image", picture)
    assert status == 2 and "--image takes a folder" in err and not (tmp_path / "page.html").exists()
