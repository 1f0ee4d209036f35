"""Trainings that are killed and resumed, and trainings in several processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.command import run_python
from helpers.training import MOBILENET, PLAIN, SIZE, pictures, recipe, small_splits, write_splits
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from sfic_bench.data.loader import Order
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.loop import train
from sfic_bench.training.presets import recipe_of
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run
from sfic_bench.training.scores import summary
from sfic_bench.training.splits import DataSplits


@pytest.fixture
def data(tmp_path: Path) -> DataSplits:
    return small_splits(tmp_path)


def test_a_killed_run_resumes_with_the_same_result(data: DataSplits, tmp_path: Path) -> None:
    """It is killed at several moments, among them while files are written; averaged and best weights are kept, too."""
    whole = Run(tmp_path / "whole")
    settings = recipe_of("modern", {"epochs": 4, "batch_size": 8, "input_size": SIZE, "learning_rate": 1e-3})
    train(MOBILENET, settings, data, whole, TrainingDevices())
    manifest = write_splits(data)
    killed = Run(tmp_path / "killed")
    call = ("-m", "sfic_bench", "train", "--backbone", "mobilenet", "--data", str(manifest),
            "--recipe", "modern", "--epochs", "4", "--batch-size", "8", "--input-size", str(SIZE),
            "--learning-rate", "1e-3", "-o", str(killed.folder), "--resume")  # fmt: skip
    kills = 0
    for delay in (0.0, 0.05, 0.3):
        process = subprocess.Popen([sys.executable, *call], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(killed.epochs()) if (killed.folder / "config.json").exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and len(killed.epochs()) <= before:
            time.sleep(0.005)
        time.sleep(delay)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills >= 2
    done = run_python(*call)
    assert done.returncode == 0, done.stderr
    a, b = (load_file(run.folder / "model.safetensors") for run in (whole, killed))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert [e.epoch for e in killed.epochs()] == [1, 2, 3, 4]
    assert [e.val for e in killed.epochs()] == [e.val for e in whole.epochs()]
    assert killed.result() == whole.result() and whole.result().kept_epoch is not None
    assert not list(killed.folder.glob(".*"))


def test_two_processes_score_as_one(tmp_path: Path) -> None:
    data = DataSplits.of(pictures(tmp_path / "marked", {"train": 40, "val": 4, "test": 15}, watermark=True))
    run = Run(tmp_path / "run")
    # The network learns so well that no two scores are closer than rounding errors.
    # The released first weights of depthwise convolutions are so small that BatchNorms need more steps than these.
    learning = recipe(epochs=6, decay=0.9, learning_rate=3e-4, initialisation="torch", **PLAIN)
    train(MOBILENET, learning, data, run, TrainingDevices())
    expected, _ = TrainedNetwork(run).predictions(data.test, data.folder)
    script = tmp_path / "two.py"
    script.write_text(f"""
import sys
from pathlib import Path
import pandas as pd
from lightning_fabric import Fabric
from sfic_bench.data.loader import Images, Order, batches
from sfic_bench.training.augment import Augment
from sfic_bench.training.learner import new_network
from sfic_bench.training.runs import Run
from sfic_bench.training.inference import TrainedNetwork, predict

fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
run = Run(Path({str(run.folder)!r}))
trained = TrainedNetwork(run)
model = new_network(trained.variant, trained.recipe)
run.load_model(model)
model = fabric.setup(model)
frame = pd.read_csv({str(tmp_path / "test.csv")!r}, keep_default_na=False)
order = Order(len(frame), rank=fabric.global_rank, processes=fabric.world_size)
loader = batches(Images(frame, Path({str(data.folder)!r}), {SIZE}), order, 2, 0)
scores = predict(fabric, model, Augment(trained.recipe), frame, loader, lambda *_: None)
scores.to_parquet(Path({str(tmp_path)!r}) / f"rank{{fabric.global_rank}}.parquet")
""")
    data.test.to_csv(tmp_path / "test.csv", index=False)
    done = torchrun(str(script))
    assert done.returncode == 0, done.stderr
    assert np.diff(np.sort(expected["score"])).min() > 1e-6
    for rank in range(2):  # 15 images on two processes: uneven shares
        scored = pd.read_parquet(tmp_path / f"rank{rank}.parquet")
        assert scored["path"].tolist() == expected["path"].tolist()
        assert scored["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-6)
        theirs, ours = summary(scored)["frame"], summary(expected)["frame"]
        assert theirs.keys() == ours.keys()
        for name, score in ours.items():
            other = theirs[name]
            assert score is not None and other is not None
            assert other.estimate == pytest.approx(score.estimate, abs=1e-6)


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    call = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments)
    return run_python(*call)


def test_two_processes_train(data: DataSplits, tmp_path: Path) -> None:
    """Also with a frozen body in the first epoch, parts of a batch, clipped gradients and averaged weights."""
    manifest = write_splits(data)
    small = ("--epochs", "2", "--batch-size", "8", "--input-size", str(SIZE), "--devices", "2", "--recipe", "modern",
             "--freeze", "1", "--accumulate", "2")  # fmt: skip
    call = ("-m", "sfic_bench", "train", "--backbone", "mobilenet", "--data", str(manifest), *small)
    done = torchrun(*call, "-o", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert Run(tmp_path / "run").result().images == 7
    assert done.stdout.count("after 2 epochs") == 1  # only one of the processes prints


@pytest.mark.parametrize("shuffled", [False, True])
@given(length=st.integers(1, 40), processes=st.integers(1, 4))
def test_shares_of_an_epoch(shuffled: bool, length: int, processes: int) -> None:
    orders = [Order(length, rank=rank, processes=processes, seed=3 if shuffled else None) for rank in range(processes)]
    shares = [list(order) for order in orders]
    assert [len(share) for share in shares] == [len(order) for order in orders]
    seen = sorted(i for share in shares for i, _ in share)
    assert len(set(seen)) == len(seen)
    orders[0].epoch = 2
    assert {take for _, take in orders[0]} <= {2}
    if shuffled:
        assert len({len(share) for share in shares}) == 1 and len(seen) > length - processes
    else:
        assert seen == list(range(length))
