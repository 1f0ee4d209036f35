"""Trainings of a few seconds each, on small images."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import MOBILENET, PLAIN, pictures, recipe, small_splits
from safetensors.torch import load_file

from sfic_bench.networks.variant import Variant
from sfic_bench.results.checksums import write_with_checksum
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run, UnusableRun
from sfic_bench.training.splits import DataSplits, UnusableData


@pytest.fixture
def data(tmp_path: Path) -> DataSplits:
    return small_splits(tmp_path)


@pytest.mark.parametrize("variant", [MOBILENET, Variant(backbone="mobilenet", alpha=0.5, beta=0.5)])
def test_the_same_seed_gives_the_same_weights(data: DataSplits, tmp_path: Path, variant: Variant) -> None:
    results = [train(variant, recipe(), data, Run(tmp_path / name), TrainingDevices()) for name in "ab"]
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert results[0] == results[1]
    train(variant, recipe(seed=8), data, Run(tmp_path / "c"), TrainingDevices())
    # Weights and not scores: on seven images two networks that have learnt little may well score the same.
    other = load_file(tmp_path / "c" / "model.safetensors")
    assert all(not torch.equal(a[k], other[k]) for k in a if a[k].dim() == 4)


def test_half_precision_trains(data: DataSplits, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    train(MOBILENET, recipe(precision="bf16"), data, run, TrainingDevices())
    assert [np.isfinite(e.loss) and bool(e.loader_images_per_s) for e in run.epochs()] == [True, True]
    weights = load_file(run.folder / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float32, torch.int64}  # bf16 are the products alone
    assert TrainedNetwork(run).predictions(data.test, data.folder)[0]["score"].between(0, 1).all()


def test_random_labels_cannot_be_learnt(tmp_path: Path) -> None:
    data = DataSplits.of(pictures(tmp_path, {"train": 60, "val": 20, "test": 120}))
    result = train(MOBILENET, recipe(epochs=3), data, Run(tmp_path / "run"), TrainingDevices())
    auc = result.scores["frame"]["auc"]
    assert auc is not None
    assert auc.contains(0.5)


def test_a_watermark_of_one_pixel_is_found(tmp_path: Path) -> None:
    data = DataSplits.of(pictures(tmp_path, {"train": 160, "val": 20, "test": 80}, watermark=True))
    result = train(MOBILENET, recipe(epochs=8, decay=0.9, **PLAIN), data, Run(tmp_path / "run"), TrainingDevices())
    auc = result.scores["frame"]["auc"]
    assert auc is not None and auc.estimate > 0.99


def test_images_that_cannot_be_read(data: DataSplits, tmp_path: Path) -> None:
    bad = data.folder / data.train["path"].iat[3]
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(UnusableData, match=bad.name) as caught:
        train(MOBILENET, recipe(epochs=1), data, Run(tmp_path / "a"), TrainingDevices())
    assert "--skip-unreadable" in str(caught.value)
    (data.folder / data.test["path"].iat[0]).unlink()
    result = train(MOBILENET, recipe(epochs=1), data, Run(tmp_path / "b"), TrainingDevices(skip_unreadable=True))
    assert result.unreadable == [data.test["path"].iat[0], data.train["path"].iat[3]]
    assert result.images == 6
    with pytest.raises(UnusableData, match=bad.name):  # of a worker process, too
        train(MOBILENET, recipe(epochs=1), data, Run(tmp_path / "c"), TrainingDevices(workers=1))


def test_data_that_cannot_be_trained_with(data: DataSplits, tmp_path: Path) -> None:
    manifest = pictures(tmp_path, {"train": 4, "val": 2})
    with pytest.raises(UnusableData, match="the split test is empty"):
        DataSplits.of(manifest)
    real = data.train[data.train["label"] == 0]
    with pytest.raises(UnusableData, match=r"only real images, such as train000\.png"):
        DataSplits(train=real, val=data.val, test=data.test, folder=data.folder, name="x")


def test_runs_are_not_mixed_up(data: DataSplits, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(UnusableRun, match=r"has no config\.json"):
        TrainedNetwork(run)
    train(MOBILENET, recipe(epochs=1), data, run, TrainingDevices())
    with pytest.raises(UnusableRun, match="--resume"):
        train(MOBILENET, recipe(epochs=1), data, run, TrainingDevices())
    with pytest.raises(UnusableRun, match=r"another run: recipe\.epochs was 1 and is 2; choose"):
        train(MOBILENET, recipe(epochs=2), data, run, TrainingDevices(), resume=True)
    again = train(MOBILENET, recipe(epochs=1), data, run, TrainingDevices(), resume=True)
    assert again == run.result()


def test_weights_are_never_code(data: DataSplits, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    train(MOBILENET, recipe(epochs=1), data, run, TrainingDevices())

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    content = io.BytesIO()
    torch.save(Evil(), content)
    write_with_checksum(run.folder / "model.safetensors", content.getvalue())
    with pytest.raises(UnusableRun, match="cannot read"):
        TrainedNetwork(run)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"learning_rate": -1.0}, {"precision": "fp8"}, {"decay": 2.0}, {"flip": 1.5}]
)
def test_recipes_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError if "precision" not in bad else LookupError):
        recipe(**bad)
