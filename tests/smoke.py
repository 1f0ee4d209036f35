"""Runs every command of an installed sfic-bench once: ``python -P smoke.py``, with the Python of its environment.

Commands of an extra must say what to install, and all others must do their work in the folder that is current.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

import sfic_bench
from sfic_bench.cli.main import app_with

SMALL = ("--backbone", "mobilenet", "--alpha", ".5", "--beta", "1")
QUICK = ("--max-seconds", "3", "--format", "json")
SWEEP = '[[cost]]\nbackbone = "mobilenet"\nalpha = [0.5]\nbeta = [1]\n'

RUNS: Sequence[tuple[str, ...]] = (
    ("flops", *SMALL, "--format", "json", "-o", "costs.json"),
    ("audit", "--help"),  # takes as long as all others; `nox -s regression` runs it on the wheel
    ("latency", *SMALL, "--input-size", "64", "--batch-size", "1", *QUICK, "-o", "times.json"),
    ("stage2", "--channels", "16", "--size", "16", "--alpha", ".5", "--beta", "1", *QUICK, "-o", "layers.json"),
    ("compare", "times.json", "times.json"),
    ("report", "costs.json", "times.json", "--format", "markdown"),
    ("report", "costs.json", "--format", "openmetrics"),
    ("explain", *SMALL[:4]),
    ("export", *SMALL, "--to", "torchscript", "--input-size", "64", "-o", "network.pt"),
    ("framework", "config", "deepfakebench", *SMALL, "-o", "sfic.yaml"),
    ("list",),
    ("env",),
    ("data", "import", "folder", "images", "-o", "manifest.csv"),
    ("data", "check", "manifest.csv", "--no-read"),
    ("sweep", "run", "sweep.toml", "--engine", "local", "-o", "store"),
    ("sweep", "status", "store"),
)

NEED_AN_EXTRA: Sequence[tuple[str, ...]] = (
    ("train", "--data", "orl", "-o", "run"),
    ("accuracy", "--runs", "runs"),
    ("table", "II", "--runs", "runs", "--data", "orl"),
    ("evaluate", "run"),
    ("robustness", "run"),
    ("predict", "run", "picture.png"),
    ("attention", "run", "-o", "map.png"),
    ("deploy", "run"),
    ("publish", "run", "-o", "published"),
    ("framework", "import", "ckpt_best.pth", "-o", "imported"),
    ("data", "extract", "folder", ".", "-o", "faces"),
)


def main() -> None:
    assert Path(sfic_bench.__file__).is_relative_to(sys.prefix), f"{sfic_bench.__file__} is not the installed package"
    covered = {
        " ".join(words[:2] if words[0] in ("sweep", "data", "framework") else words[:1])
        for words in (*RUNS, *NEED_AN_EXTRA)
    }
    commands = set(_names(typer.main.get_command(app_with())))
    assert covered == commands, f"commands without a run here: {commands ^ covered}"
    Path("sweep.toml").write_text(SWEEP)
    for label in ("real", "fake"):
        for i in range(10):
            picture = Path("images", label, f"{label}{i}.png")
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.touch()
    for words in RUNS:
        status, err = _run(words)
        assert status == 0, f"{' '.join(words)}: exit status {status}\n{err}"
    for words in NEED_AN_EXTRA:
        status, err = _run(words)
        assert status == 2 and "pip install" in err, f"{' '.join(words)}: exit status {status}\n{err}"
    print(f"{len(commands)} commands work, or say what to install")


def _names(command: object, before: str = "") -> Iterator[str]:
    """The names of all commands below ``command``."""
    for name, child in getattr(command, "commands", {}).items():
        words = f"{before} {name}".strip()
        yield from _names(child, words) if getattr(child, "commands", None) else (words,)


def _run(words: Sequence[str]) -> tuple[int, str]:
    print(f"sfic-bench {' '.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sfic_bench", *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


if __name__ == "__main__":
    main()
