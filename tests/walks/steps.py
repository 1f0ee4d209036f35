"""What the walks through other projects' code share: ten images, commands, and the comparison of scores."""

import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sfic_bench.data.orl import load_orl, orl
from walks.stand_ins import torchvision_beside_any_torch

SIZE = 256
NETWORK = ("--backbone", "resnet26", "--alpha", ".5", "--beta", ".5")
"""The network that is trained, as options of ``sfic-bench framework config``."""

PYTHON = (sys.executable, "-W", "ignore", "-m")

TESTS = Path(__file__).parent.parent

Scores = NDArray[np.float64]


def ten_images() -> list[tuple[str, int, bytes]]:
    """Video, label and PNG file of five photographs and five forgeries, of 256×256 pixels."""
    rows = orl().where(split="test", compression="hq")
    real = rows[rows["label"] == 0].iloc[::28][:5]
    fake = rows[rows["label"] == 1].iloc[3::113][:5]
    images = []
    for row in (*real.itertuples(), *fake.itertuples()):
        pixels, _ = load_orl(str(row.path))
        file = io.BytesIO()
        Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(file, "PNG")
        images.append((str(row.video), int(row.label), file.getvalue()))
    return images


def run(*command: str, folder: Path | None = None) -> str:
    """The standard output of a command that must succeed."""
    paths = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}")
    return done.stdout


def sfic_bench(*arguments: Path | str) -> str:
    """The standard output of a command of sfic-bench, in a process of its own."""
    return run(*PYTHON, "walks.steps", *map(str, arguments))


def replaced(path: Path, *changes: tuple[str, str]) -> None:
    """Change the text of a file; what is changed must be in it."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{path} has no {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def compare(checkpoint: Path, manifest: Path, their_auc: float, their_scores: Scores) -> None:
    """Import a checkpoint beside a manifest, score its images, and compare AUC and scores with the other project's."""
    trained, scores = manifest.parent / "run", manifest.parent / "scores.json"
    sfic_bench("framework", "import", checkpoint, "-o", trained)
    sfic_bench("evaluate", trained, "--data", manifest, "--format", "json", "-o", scores)
    auc = json.loads(scores.read_text(encoding="utf-8"))["scores"]["frame"]["auc"]["estimate"]
    theirs = np.sort(their_scores)
    difference = float(np.abs(np.sort(our_scores(trained, manifest)) - theirs).max())
    print(f"torch {torch.__version__}; AUC of {len(theirs)} images: theirs {their_auc:.6f}, by sfic-bench {auc:.6f}")
    print(f"scores between {theirs[0]:.6f} and {theirs[-1]:.6f}; the largest difference of one is {difference:.1e}")
    assert abs(their_auc - auc) < 1e-6 and difference < 1e-5


def our_scores(run_folder: Path, manifest: Path) -> Scores:
    """The probabilities of fake that sfic-bench gives to the images."""
    from sfic_bench.data.manifest import read_manifest
    from sfic_bench.training.inference import TrainedNetwork
    from sfic_bench.training.runs import Run

    images = read_manifest(manifest)
    scored, _ = TrainedNetwork(Run(run_folder)).predictions(images.frame, images.folder)
    return np.asarray(scored["score"], dtype=np.float64)


def start(main: Callable[[Path, Path], None], script: Callable[..., None]) -> None:
    """Run ``main`` with the checkout and the folder to work in, or ``script`` in a process that ``main`` started."""
    torchvision_beside_any_torch()
    if sys.argv[1] == "--script":
        script(*sys.argv[2:])
    else:
        work = Path(sys.argv[2]).resolve()
        work.mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]).resolve(), work)


if __name__ == "__main__":
    torchvision_beside_any_torch()
    sys.argv[0] = "sfic-bench"
    runpy.run_module("sfic_bench", run_name="__main__")
