"""Sweep files that take a few seconds, and the nodes and data that they need."""

from pathlib import Path
from typing import Any

from helpers.command import run_command
from helpers.training import pictures
from sfic_bench.data.manifest import write_manifest
from sfic_bench.sweep.engines import Node
from sfic_bench.sweep.jobs import AnyJob
from sfic_bench.sweep.jobs.job import code_version
from sfic_bench.sweep.spec import read_sweep
from sfic_bench.sweep.work import NodeFacts

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


def node(**more: Any) -> Node:
    """A node of two cores without GPUs, or with ``more``."""
    facts = NodeFacts(host="n", code=code_version(), torch="2", processor="Z80", cpus=2, gpus=more.pop("names", ()))
    return Node(**{"name": "n", "cpus": 2, "gpus": 0, "resources": {}, "facts": facts} | more)
