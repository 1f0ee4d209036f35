"""The table of a CUDA device: seven backbones over the α/β grid, batch 64, 256×256, bf16, channels last.

``python benchmarks/gpu_table.py FOLDER`` installs nothing. It runs the tests that need the device
first and stops if one fails, then ``sfic-bench latency``, which checks every path again and writes
FOLDER/<device>-*.json after each backbone, so that a run cut short keeps what it had.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BACKBONES = "mobilenet,resnet26,resnet50,resnet101,vgg13,vgg16,vgg19"
COMMON = ("--device", "cuda", "--dtype", "bf16", "--batch-size", "64", "--channels-last", "--format", "json")

RUNS = {
    # Compiling takes half a minute a network, so the whole grid goes without it.
    "grid": ("--backbone", BACKBONES, "--path", "fused,cuda-graph", "--max-seconds", "20"),
    "paths": (
        *("--backbone", "resnet50,resnet26", "--alpha", "0.5,0.75", "--beta", "0.5,1"),
        *("--path", "all", "--max-seconds", "30"),
    ),
    "training": (
        *("--backbone", "resnet50", "--alpha", "0.5", "--beta", "0.5,1", "--training"),
        *("--path", "reference,fused,compiled", "--max-seconds", "40"),
    ),
}


def python(*arguments: str) -> int:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment).returncode


def main(folder: Path) -> int:
    import torch

    if not torch.cuda.is_available():
        print("no CUDA device on this machine: nothing was measured", file=sys.stderr)
        return 2
    if status := python("-m", "pytest", "-q", "-m", "gpu", "tests", "-p", "no:cacheprovider"):
        print("the tests that need the device fail: nothing was measured", file=sys.stderr)
        return status
    device = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-")
    failed = 0
    for name, options in RUNS.items():
        path = folder / f"{device}-{name}.json"
        failed |= python("-m", "sfic_bench", "latency", *COMMON, *options, "--output", str(path))
        if path.exists():
            failed |= python(str(Path(__file__)), "--show", str(path))
    return failed


def show(path: Path) -> int:
    """A short table of each network's best path against vanilla's."""
    import json

    for family in json.loads(path.read_text(encoding="utf-8"))["families"]:
        for best in family["best"]:
            ratio = best["ratio_to_vanilla"]
            low, high = ratio["ci95"]
            print(
                f"{family['name']:10} α={best['alpha']:<5g} β={best['beta']:<5g} {best['path']:24} "
                f"{ratio['median']:.3f} [{low:.3f}–{high:.3f}] of vanilla's {best['vanilla_path']}"
            )
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--show":
        sys.exit(show(Path(sys.argv[2])))
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python benchmarks/gpu_table.py FOLDER (a folder that exists)")
    sys.exit(main(Path(sys.argv[1])))
