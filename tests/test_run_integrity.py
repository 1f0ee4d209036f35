"""A run's folder: damage is named, other data are another run, and a stranger's code is not run."""

import json
import random
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.command import run_command
from helpers.training import MOBILENET, recipe, small_splits
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from sfic_bench.networks.variant import Variant
from sfic_bench.results.checksums import SUMS, read_with_checksum, write_with_checksum
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.loop import TrainingProgress, train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run, UnusableRun
from sfic_bench.training.splits import DataSplits

CODE = """
from torch import nn

def net(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSplits:
    return small_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(data: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(MOBILENET, recipe(epochs=1), data, Run(folder), TrainingDevices())
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(finished, tmp_path / "run")))


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def unfinished(data: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after its only epoch, before it was scored."""

    def stop(progress: TrainingProgress) -> None:
        if progress.is_epoch_end:
            raise Stopped

    folder = tmp_path_factory.mktemp("runs") / "unfinished"
    with pytest.raises(Stopped):
        train(MOBILENET, recipe(epochs=1), data, Run(folder), TrainingDevices(), listener=stop)
    return folder


@pytest.fixture
def stopped(unfinished: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(unfinished, tmp_path / "stopped")))


def test_a_flipped_bit_is_named_wherever_it_is(run: Run) -> None:
    """Positions are drawn per file, so that small files are hit as often as the weights."""
    random_numbers = random.Random(0)
    files = sorted(path for path in run.folder.iterdir() if path.is_file())
    assert len(files) == 8
    for _ in range(100):
        path = random_numbers.choice(files)
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[random_numbers.randrange(len(damaged))] ^= 1 << random_numbers.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(UnusableRun, match=r"is damaged" if path.name != SUMS else SUMS) as caught:
            TrainedNetwork(run)
        assert str(path) in str(caught.value) or path.name == SUMS
        path.write_bytes(content)
    TrainedNetwork(run)


def test_a_flipped_bit_of_a_checkpoint_is_named(data: DataSplits, stopped: Run) -> None:
    path = stopped.folder / "checkpoint.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UnusableRun, match=r"checkpoint\.safetensors is damaged"):
        train(MOBILENET, recipe(epochs=1), data, stopped, TrainingDevices(), resume=True)


def test_a_finished_run_needs_no_checkpoint(data: DataSplits, run: Run, stopped: Run) -> None:
    assert not run.has_checkpoint and stopped.has_checkpoint
    assert train(MOBILENET, recipe(epochs=1), data, stopped, TrainingDevices(), resume=True) == run.result()
    assert not stopped.has_checkpoint


def test_sha256sum_knows_the_checksums(run: Run) -> None:
    check = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=run.folder, capture_output=True, check=False)
    assert check.returncode == 0 and check.stdout.count(b": OK") == 7


def test_a_process_killed_between_a_checksum_and_its_file_leaves_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_with_checksum(path, b"old")
    with (tmp_path / SUMS).open("a") as sums:
        sums.write("0" * 64 + "  file\n" + "1" * 30)
    assert read_with_checksum(path) == b"old"
    write_with_checksum(path, b"new")
    assert read_with_checksum(path) == b"new"


def test_without_checksums_a_run_is_refused(run: Run) -> None:
    (run.folder / SUMS).unlink()
    with pytest.raises(UnusableRun, match=SUMS):
        TrainedNetwork(run)


def test_a_run_of_an_older_version_is_read_and_goes_on(data: DataSplits, stopped: Run) -> None:
    run = stopped
    (run.folder / SUMS).unlink()
    config = json.loads((run.folder / "config.json").read_text())
    del config["digests"], config["network_file"], config["recipe"]["initialisation"], config["recipe"]["mcs"]
    (run.folder / "config.json").write_text(json.dumps(config | {"schema": "sfic-bench/run/1"}))
    with safe_open(run.folder / "checkpoint.safetensors", "pt") as file:
        names = file.keys()
        weights = {n.removeprefix("model."): file.get_tensor(n) for n in names if n.startswith("model.")}
    with pytest.raises(UnusableRun, match=r"recipe\.initialisation was 'torch' and is 'released'"):
        train(MOBILENET, recipe(epochs=1), data, run, TrainingDevices(), resume=True)
    as_before = recipe(epochs=1, initialisation="torch")
    train(MOBILENET, as_before, data, run, TrainingDevices(), resume=True)
    assert run.config().digests == data.digests()
    assert all(torch.equal(weights[name], tensor) for name, tensor in run.weights().items())


def splits(data: DataSplits, train_rows: pd.DataFrame) -> DataSplits:
    return DataSplits(train=train_rows, val=data.val, test=data.test, folder=data.folder, name=data.name)


def test_other_labels_are_another_run(data: DataSplits, run: Run) -> None:
    inverted = splits(data, data.train.assign(label=1 - data.train["label"]))
    with pytest.raises(UnusableRun, match="another run: the images' paths or labels have changed; choose"):
        train(MOBILENET, recipe(epochs=1), inverted, run, TrainingDevices(), resume=True)


def test_the_same_images_of_a_manifest_of_another_name_are_the_same_run(data: DataSplits, run: Run) -> None:
    """``train`` names its data by the manifest's path, ``accuracy`` by their name: each takes the other's runs."""
    scores = run.predictions()
    renamed = replace(data, name="called otherwise")
    train(MOBILENET, recipe(epochs=1), renamed, run, TrainingDevices(), resume=True)
    pd.testing.assert_frame_equal(run.predictions(), scores)


def test_other_images_are_another_run(data: DataSplits, run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(data.folder, tmp_path / "images"))
    moved = DataSplits(train=data.train, val=data.val, test=data.test, folder=folder, name=data.name)
    train(MOBILENET, recipe(epochs=1), moved, run, TrainingDevices(), resume=True)  # the same images elsewhere
    shutil.copy(folder / data.train["path"].iat[0], folder / data.train["path"].iat[1])
    with pytest.raises(UnusableRun, match="another run: the sizes of the image files have changed; choose"):
        train(MOBILENET, recipe(epochs=1), moved, run, TrainingDevices(), resume=True)


def test_code_of_a_run_is_not_run_by_itself(data: DataSplits, tmp_path: Path) -> None:
    file, owned = tmp_path / "net.py", tmp_path / "owned"
    file.write_text(CODE)
    network = Variant(backbone=f"{file}:net")
    run = Run(tmp_path / "run")
    train(network, recipe(epochs=1), data, run, TrainingDevices())
    file.write_text(CODE + f"open({str(owned)!r}, 'w').close()\n")
    with pytest.raises(UnusableRun, match=r"--backbone FILE\.py:FUNCTION, or add --trust-code"):
        TrainedNetwork(run)
    with pytest.raises(UnusableRun, match=r"net\.py:net has changed since"):
        TrainedNetwork(run, backbone=network.backbone)
    assert not owned.exists()
    with pytest.raises(UnusableRun, match="the file that defines the network has changed"):
        train(network, recipe(epochs=1), data, run, TrainingDevices(), resume=True)
    TrainedNetwork(run, trust_code=True)
    assert owned.exists()
    with pytest.raises(UnusableRun, match="not resnet50"):
        TrainedNetwork(run, backbone="resnet50", trust_code=True)


def rewritten(run: Run, change: "dict[str, Tensor | None]", epoch: str = "1") -> None:
    """Write the run's checkpoint with other tensors, with a checksum that holds; ``None`` removes a tensor."""
    path = run.folder / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names if change.get(name, ...) is not None}
    tensors |= {name: tensor for name, tensor in change.items() if tensor is not None}
    write_with_checksum(path, save(tensors, {"epoch": epoch}))


def optimiser_names(run: Run) -> list[str]:
    with safe_open(run.folder / "checkpoint.safetensors", "pt") as file:
        names = file.keys()
    return [name for name in names if name.startswith("optimiser.")]


@pytest.mark.parametrize("epoch", ["999", "0", "-1", "x"])
def test_a_checkpoint_of_no_such_epoch(data: DataSplits, stopped: Run, epoch: str) -> None:
    rewritten(stopped, {}, epoch)
    with pytest.raises(UnusableRun, match=re.escape("checkpoint.safetensors")):
        train(MOBILENET, recipe(epochs=1), data, stopped, TrainingDevices(), resume=True)


def test_a_checkpoint_without_its_optimiser(data: DataSplits, stopped: Run) -> None:
    rewritten(stopped, dict.fromkeys(optimiser_names(stopped)))
    with pytest.raises(UnusableRun, match="no state of the optimiser"):
        train(MOBILENET, recipe(epochs=1), data, stopped, TrainingDevices(), resume=True)


def test_a_checkpoint_with_half_a_state(data: DataSplits, stopped: Run) -> None:
    rewritten(stopped, {"optimiser.3.exp_avg": None})
    with pytest.raises(UnusableRun, match="the optimiser's state of parameter 3 lacks exp_avg"):
        train(MOBILENET, recipe(epochs=1), data, stopped, TrainingDevices(), resume=True)


def test_the_commands_do_not_run_code_of_a_run(data: DataSplits, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(CODE)
    network = f"{file}:net"
    folder, image = tmp_path / "run", data.folder / data.test["path"].iat[0]
    train(Variant(backbone=network), recipe(epochs=1), data, Run(folder), TrainingDevices())
    status, out, err = run_command("predict", folder, image, "--whole-image")
    assert status == 2 and out == "" and "--trust-code" in err and err.count("\n") == 1
    for agreement in (("--trust-code",), ("--backbone", network)):
        assert run_command("predict", folder, image, "--whole-image", *agreement)[0] == 0
