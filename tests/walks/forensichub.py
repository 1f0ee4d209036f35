"""Walk through docs/deepfakebench.md with ForensicHub's own code, on ten images.

``python -m walks.forensichub CHECKOUT WORK``, in the folder tests, copies a checkout of scu-zjz/ForensicHub to the
folder WORK, registers SFIC there, writes ten images in the form of its deepfake data sets, runs its ``train.py`` and
``test.py`` on them in one process, imports the checkpoint, and compares the AUC and every score. It needs ForensicHub's
packages, beside those of sfic-bench's extra ``train``.
"""

import importlib
import json
import os
import runpy
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from walks.stand_ins import (
    checkpoints_with_options,
    dlib_without_landmarks,
    no_detectors_of_deepfakebench,
    without_cuda,
)
from walks.steps import NETWORK, PYTHON, compare, replaced, run, sfic_bench, start, ten_images

REGISTER = "\nfrom sfic_bench.frameworks import forensichub\n\nforensichub.register()\n"


def write_data(folder: Path) -> None:
    """The ten images as files, with a list in DeepfakeBench's form, which ForensicHub reads."""
    classes: dict[str, dict[str, Any]] = {"UADFV_Real": {}, "UADFV_Fake": {}}
    for video, label, file in ten_images():
        path = folder / "UADFV" / "frames" / video / "000.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(file)
        name = "UADFV_Fake" if label else "UADFV_Real"
        classes[name][video] = {"label": name, "frames": [path.relative_to(folder).as_posix()]}
    splits = {name: {"train": videos, "test": videos} for name, videos in classes.items()}
    (folder / "UADFV.json").write_text(json.dumps({"UADFV": splits}), encoding="utf-8")


def inside(hub: Path, script: str, config: Path) -> str:
    """Run one of ForensicHub's scripts in a process of its own, in its folder."""
    return run(*PYTHON, "walks.forensichub", "--script", script, str(config), folder=hub)


def main(checkout: Path, work: Path) -> None:
    """Walk, and print what ForensicHub and sfic-bench found."""
    hub, data = work / "ForensicHub", work / "datasets"
    shutil.copytree(checkout, hub)
    with (hub / "ForensicHub" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(REGISTER)
    write_data(data)
    config, logs = work / "sfic.yaml", work / "log"
    sfic_bench("framework", "config", "forensichub", *NETWORK, "-o", config)
    replaced(
        config, ("./datasets/FaceForensics++.json", str(data / "UADFV.json")), ("./datasets", str(data)),
        ("./log/sfic", str(logs)), ("batch_size: 32", "batch_size: 5"), ("num_workers: 8", "num_workers: 0"),
        ("epochs: 20", "epochs: 4"), ("pin_mem: true", "pin_mem: false"),
    )  # fmt: skip
    if not torch.cuda.is_available():
        replaced(config, ("device: cuda", "device: cpu"))
    inside(hub, "train.py", config)
    last = work / "last"
    last.mkdir()
    checkpoint = last / "checkpoint-3.pth"
    shutil.copy(logs / "checkpoint-3.pth", checkpoint)
    with config.open("a", encoding="utf-8") as file:
        file.write(f"checkpoint_path: {last}\n")
    inside(hub, "test.py", config)
    lines = (logs / "FaceForensics++" / "log.txt").read_text(encoding="utf-8").splitlines()
    auc = next(value for name, value in json.loads(lines[-1]).items() if "AUC" in name)
    manifest = work / "images.csv"
    sfic_bench("data", "import", "deepfakebench", data, "-o", manifest)
    compare(checkpoint, manifest, auc, np.load(hub / "scores.npy"))


def script(name: str, config: str) -> None:
    """Run a script of ForensicHub in this process, which stands for the one that torchrun would start."""
    without_cuda()
    dlib_without_landmarks()
    no_detectors_of_deepfakebench()
    checkpoints_with_options()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    sys.path.insert(0, str(Path.cwd()))
    path = str(Path("ForensicHub", "training_scripts", name))
    sys.argv = [path, "--config", config]
    keep_scores()
    runpy.run_path(path, run_name="__main__")


def keep_scores() -> None:
    """Write the scores of each test to scores.npy, which ForensicHub only makes an AUC of."""
    evaluator: Any = importlib.import_module("IMDLBenCo.evaluation").ImageAUC
    update = evaluator.epoch_update

    def keeping(self: Any) -> float:
        np.save("scores.npy", torch.cat(self.predict).double().numpy(force=True))
        return float(update(self))

    evaluator.epoch_update = keeping


if __name__ == "__main__":
    start(main, script)
