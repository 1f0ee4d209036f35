"""Walk through docs/deepfakebench.md with DeepfakeBench's own code, on ten images.

``python -m walks.deepfakebench CHECKOUT WORK``, in the folder tests, copies a checkout of SCLBD/DeepfakeBench to the
folder WORK, registers SFIC there, writes ten images in the form of its data sets (JSON and an LMDB database), runs its
``training/train.py`` and ``training/test.py`` on them, imports the checkpoint and the images, and compares the AUC and
every score. It needs DeepfakeBench's packages, beside those of sfic-bench's extras ``train`` and ``lmdb``.
"""

import importlib
import json
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from walks.stand_ins import dlib_without_landmarks, without_cuda
from walks.steps import NETWORK, PYTHON, compare, replaced, run, sfic_bench, start, ten_images

REGISTER = "\nfrom sfic_bench.frameworks import deepfakebench\n\ndeepfakebench.register()\n"
DATASET = "UADFV"
"""A name that DeepfakeBench knows the classes of."""


def write_data(bench: Path) -> None:
    """The ten images as DeepfakeBench keeps them, for training and for the test."""
    lmdb: Any = importlib.import_module("lmdb")
    classes: dict[str, dict[str, Any]] = {f"{DATASET}_Real": {}, f"{DATASET}_Fake": {}}
    database = bench / "datasets" / "lmdb" / f"{DATASET}_lmdb"
    database.mkdir(parents=True)
    with lmdb.open(str(database), map_size=2**26) as entries, entries.begin(write=True) as transaction:
        for video, label, file in ten_images():
            name = f"{DATASET}_{'Fake' if label else 'Real'}"
            key = f"{DATASET}\\{'fake' if label else 'real'}\\frames\\{video}\\000.png"
            transaction.put(key.encode(), file)
            classes[name][video] = {"label": name, "frames": [key]}
    splits = {name: {"train": videos, "val": {}, "test": videos} for name, videos in classes.items()}
    for folder in ("dataset_json", "dataset_json_v3"):  # test.py reads the first, train.py with LMDB the second
        (bench / "preprocessing" / folder).mkdir(exist_ok=True)
        path = bench / "preprocessing" / folder / f"{DATASET}.json"
        path.write_text(json.dumps({DATASET: splits}), encoding="utf-8")


def inside(bench: Path, *script: str) -> str:
    """Run one of DeepfakeBench's scripts in a process of its own, in its folder."""
    return run(*PYTHON, "walks.deepfakebench", "--script", *script, folder=bench)


def main(checkout: Path, work: Path) -> None:
    """Walk, and print what DeepfakeBench and sfic-bench found."""
    bench = work / "DeepfakeBench"
    shutil.copytree(checkout, bench)
    with (bench / "training" / "detectors" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(REGISTER)
    write_data(bench)
    config = bench / "training" / "config" / "detector" / "sfic.yaml"
    sfic_bench("framework", "config", "deepfakebench", *NETWORK, "-o", config)
    replaced(
        config, ("[FaceForensics++]", f"[{DATASET}]"), ("Size: 32", "Size: 5"), ("workers: 8", "workers: 0"),
        ("nEpochs: 10", "nEpochs: 3"),
    )  # fmt: skip
    inside(bench, "training/train.py", "--detector_path", str(config))
    (checkpoint,) = bench.glob(f"logs/training/*/test/{DATASET}/ckpt_best.pth")
    shown = inside(bench, "training/test.py", "--detector_path", str(config), "--weights_path", str(checkpoint))
    auc = re.search(r"^auc: (\S+)$", shown, re.MULTILINE)
    scores = re.search(r"^pred: \[([^]]*)\]", shown, re.MULTILINE)
    assert auc and scores, shown
    manifest, databases = work / "images.csv", bench / "datasets" / "lmdb"
    lists = bench / "preprocessing" / "dataset_json"
    sfic_bench("data", "import", "deepfakebench", lists, "--lmdb", databases, "-o", manifest)
    compare(checkpoint, manifest, float(auc[1]), np.array(scores[1].split(), dtype=np.float64))


def script(path: str, *arguments: str) -> None:
    """Run a script of DeepfakeBench in this process, with stand-ins for what this machine lacks."""
    without_cuda()
    dlib_without_landmarks()
    np.set_printoptions(precision=9, threshold=1000, linewidth=10_000)
    sys.path.insert(0, str(Path(path).parent.resolve()))
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    start(main, script)
