"""Sweep files that take a few seconds, and the nodes and data that they need."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from helpers.command import TIMEOUT_S, run_command
from helpers.training import pictures
from sfic_bench.data.manifest import write_manifest
from sfic_bench.sweeping.engines import Node
from sfic_bench.sweeping.jobs import AnyJob
from sfic_bench.sweeping.jobs.job import code_version
from sfic_bench.sweeping.spec import read_sweep
from sfic_bench.sweeping.work import NodeFacts

COST = '[[cost]]\nbackbone = "mobilenet"\nalpha = 0.5\nbeta = [0.5, 1.0]\n'

TRAINING = """[[accuracy]]
backbone = "mobilenet"
alpha = "none"
data = ["images/m.csv"]
input_size = 32
epochs = 2
batch_size = 8
"""


def write_sweep(folder: Path, text: str) -> Path:
    """Write a sweep file into ``folder``."""
    path = folder / "spec.toml"
    path.write_text(text)
    return path


def jobs_in(folder: Path, text: str) -> list[AnyJob]:
    """The jobs that a sweep file asks for."""
    return read_sweep(write_sweep(folder, text))


def run_sweep(folder: Path, text: str, *more: str) -> tuple[int, str, str]:
    """Run the command ``sweep`` in this process; its results go to the folder ``out``."""
    return run_command("sweep", write_sweep(folder, text), "--engine", "local", "-o", folder / "out", *more)


def training_data(folder: Path, watermark: bool = True) -> None:
    """Write the manifest and the images that `TRAINING` asks for."""
    (folder / "images").mkdir()
    manifest = pictures(folder / "images", {"train": 16, "val": 4, "test": 6}, watermark=watermark)
    write_manifest(manifest, folder / "images" / "m.csv")


def node(gpus: int = 0, names: tuple[str, ...] = (), resources: Mapping[str, float] | None = None) -> Node:
    """A node of two cores with ``gpus``, of which torch finds those with ``names``."""
    facts = NodeFacts(host="n", code=code_version(), torch="2", processor="Z80", cpus=2, gpus=names)
    return Node(name="n", cpus=2, gpus=gpus, resources=resources or {}, facts=facts)


def start_sweep(spec: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    """Start ``sfic-bench sweep`` in a process of its own."""
    call = [sys.executable, "-m", "sfic_bench", "sweep", str(spec), "-o", str(output), *more]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_end(process: subprocess.Popen[str], within_s: float = TIMEOUT_S) -> tuple[int, str, str]:
    """Wait for a process, or kill it after ``within_s``; returns exit status, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err
