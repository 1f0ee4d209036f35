"""What the settings of a recipe do to a network that learns."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command import run_python
from helpers.training import MOBILENET, PLAIN, SIZE, pictures, recipe, small_splits
from safetensors.torch import load_file
from torch import Tensor, nn

from sfic_bench.data.loader import Batch
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.head import head_parameters
from sfic_bench.networks.normalisation import HALF
from sfic_bench.networks.start import Start
from sfic_bench.networks.variant import Variant
from sfic_bench.training.average import Average
from sfic_bench.training.checkpoint import Checkpoint
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.learner import Learner, new_fabric
from sfic_bench.training.loop import TrainingProgress, train
from sfic_bench.training.recipe import Recipe, TrainingDevices
from sfic_bench.training.runs import Run, UnusableRun
from sfic_bench.training.scores import metrics
from sfic_bench.training.splits import DataSplits, UnusableData
from sfic_bench.training.starts import start_of

ALL: dict[str, Any] = {
    "optimiser": "adamw", "weight_decay": 0.05, "schedule": "cosine", "warmup": 0.5, "clip": 1.0, "ema": 0.9,
    "keep": "best", "label_smoothing": 0.1, "accumulate": 2,
}  # fmt: skip


def learner_of(settings: Recipe, variant: Variant = MOBILENET) -> Learner:
    return Learner(new_fabric(settings, TrainingDevices()), variant, settings, has_masks=False)


def batch_of(count: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    return Batch(torch.arange(count), images, torch.arange(count) % 2, None, ())


def weights_of(learner: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}


def test_the_average_is_that_of_its_formula() -> None:
    layer = nn.BatchNorm1d(3)  # it has floats and a count
    average, expected = Average(layer, 0.6), layer.weight.detach().double().clone()
    rng = np.random.default_rng(0)
    for step in range(1, 20):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(rng.normal(size=3)))
        layer.get_buffer("num_batches_tracked").add_(1)
        average.update()
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach().double()
    now = layer.weight.detach().clone()
    average.exchange()
    assert (
        torch.allclose(layer.weight.double(), expected, atol=1e-6)
        and int(layer.get_buffer("num_batches_tracked")) == 19
    )
    average.exchange()
    assert torch.equal(layer.weight, now)


def test_parts_of_a_batch_have_the_gradient_of_the_whole() -> None:
    settings = recipe(**PLAIN, learning_rate=1e-3)
    steps = []
    for accumulate in (1, 3):
        learner = learner_of(replace(settings, accumulate=accumulate))
        learner.start_epoch(1)
        for module in learner.network.modules():  # BatchNorm sees each part alone
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        of_step = float(learner.step(batch_of(8), 0.5))
        steps.append((of_step, {n: p.grad for n, p in learner.network.named_parameters() if p.grad is not None}))
    (loss, grads), (loss_of_parts, grads_of_parts) = steps
    assert loss == pytest.approx(loss_of_parts, rel=1e-4)
    for name, grad in grads.items():
        assert torch.allclose(grad, grads_of_parts[name], rtol=1e-2, atol=1e-4 * float(grad.abs().max() + 1e-6)), name


def test_parts_have_two_images_at_least() -> None:
    learner = learner_of(recipe(accumulate=8, **PLAIN))
    learner.start_epoch(1)
    assert torch.isfinite(learner.step(batch_of(5), 0.5))


def test_the_gradient_is_clipped() -> None:
    learner = learner_of(recipe(clip=0.01, **PLAIN))
    learner.start_epoch(1)
    learner.step(batch_of(4), 0.5)
    squares = [float(p.grad.square().sum()) for p in learner.network.parameters() if p.grad is not None]
    assert sum(squares) ** 0.5 == pytest.approx(0.01, rel=1e-3)


def test_weight_decay_leaves_biases_and_norms() -> None:
    learner = learner_of(recipe(optimiser="adamw", weight_decay=0.5))
    decayed, other = learner.optimiser.param_groups
    assert decayed["weight_decay"] == 0.5 and all(p.dim() > 1 for p in decayed["params"])
    assert other["weight_decay"] == 0 and all(p.dim() == 1 for p in other["params"])


@pytest.mark.parametrize("variant", [MOBILENET, Variant(backbone="mobilenet", alpha=0.5, beta=0.5)])
def test_a_frozen_body_does_not_change(variant: Variant) -> None:
    # With the released first weights, whose depthwise kernels are tiny, frozen norms would give features of 0.
    learner = learner_of(recipe(freeze=1, initialisation="torch"), variant)
    head, before = head_parameters(learner.network), weights_of(learner)
    learner.start_epoch(1)
    learner.step(batch_of(4), 0.5)
    after = weights_of(learner)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == head
    learner.start_epoch(2)
    learner.step(batch_of(4), 1.5)
    later = weights_of(learner)
    assert sum(not torch.equal(after[name], later[name]) for name in after) > 0.9 * len(after)


def test_a_detector_with_a_loss_of_its_own_says_what_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="loss of its own"):
        learner_of(recipe(label_smoothing=0.1, input_size=64), Variant(backbone="multi-task"))


def test_a_checkpoint_holds_everything(tmp_path: Path) -> None:
    learner = learner_of(recipe(**ALL))
    learner.start_epoch(1)
    for _ in range(2):
        learner.step(batch_of(4), 0.5)
    kept = replace(learner.checkpoint(3, learner.weights(), 2), scaler={"scale": 1024.0, "_growth_tracker": 3})
    read = Checkpoint.from_bytes(kept.to_bytes())
    assert (read.epoch, read.best_epoch, read.average_steps, read.scaler) == (3, 2, 2, kept.scaler)
    for part in ("network", "average", "best"):
        ours, theirs = getattr(kept, part), getattr(read, part)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    other = learner_of(recipe(**ALL))
    other.start_epoch(1)
    other.step(batch_of(6, seed=5), 0.5)
    other.restore(read)
    for one in (learner, other):
        one.start_epoch(2)
        one.step(batch_of(4, seed=1), 1.5)
    ours, theirs = learner.checkpoint(4, {}, None), other.checkpoint(4, {}, None)
    assert all(torch.equal(ours.network[name], theirs.network[name]) for name in ours.network)
    assert all(torch.equal(ours.average[name], theirs.average[name]) for name in ours.average)


def test_a_scaler_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = learner_of(recipe())
    learner.start_epoch(1)
    learner.step(batch_of(4), 0.5)
    loaded: list[dict[str, float]] = []
    monkeypatch.setattr(learner.fabric.strategy.precision, "state_dict", lambda: {"scale": 512.0})
    monkeypatch.setattr(learner.fabric.strategy.precision, "load_state_dict", loaded.append)
    learner.restore(Checkpoint.from_bytes(learner.checkpoint(1, {}, None).to_bytes()))
    assert loaded == [{"scale": 512.0}]


class Killed(Exception):
    pass


def killed_after(epoch: int) -> Any:
    """A listener that ends a training at the end of an epoch, or in the first step after it."""

    def listen(progress: TrainingProgress) -> None:
        if progress.epoch > epoch:
            raise Killed

    return listen


def noisy_data(folder: Path) -> DataSplits:
    """Data whose validation AUC goes up and down."""
    return DataSplits.of(pictures(folder / "images", {"train": 24, "val": 24, "test": 12}))


def test_the_best_epoch_is_kept_also_after_a_stop(tmp_path: Path) -> None:
    data, settings = noisy_data(tmp_path), recipe(epochs=5, decay=1.0, **PLAIN, **ALL)
    whole = Run(tmp_path / "whole")
    result = train(MOBILENET, settings, data, whole, TrainingDevices())
    aucs = [row.val["auc"] for row in whole.epochs()]
    assert all(auc is not None for auc in aucs)
    best = 1 + int(np.argmax(np.array(aucs, dtype=float)))
    assert (result.kept_epoch, result.epochs) == (best, 5)
    stopped = Run(tmp_path / "stopped")
    for epoch in (1, 3):
        with pytest.raises(Killed):
            train(MOBILENET, settings, data, stopped, TrainingDevices(), resume=True, listener=killed_after(epoch))
    assert train(MOBILENET, settings, data, stopped, TrainingDevices(), resume=True) == result
    a, b = (load_file(run.folder / "model.safetensors") for run in (whole, stopped))
    assert all(torch.equal(a[name], b[name]) for name in a)
    # The kept weights are those that had the best validation score.
    scored, _ = TrainedNetwork(whole).predictions(data.val, data.folder)
    again = metrics(scored["score"].to_numpy(dtype=float), scored["label"].to_numpy(dtype=float))
    assert again["auc"] == max(np.array(aucs, dtype=float))


def test_training_ends_early_without_progress(tmp_path: Path) -> None:
    data = noisy_data(tmp_path)
    settings = recipe(epochs=12, patience=2, learning_rate=1e-9, ema=0.0, **PLAIN)  # it learns nothing
    run = Run(tmp_path / "run")
    result = train(MOBILENET, settings, data, run, TrainingDevices())
    aucs = [row.val["auc"] for row in run.epochs()]
    best = 1 + int(np.argmax(np.array(aucs, dtype=float)))
    assert result.epochs == len(aucs) == best + 2 < 12
    assert result.kept_epoch is None


def test_the_best_epoch_needs_validation(tmp_path: Path) -> None:
    data = small_splits(tmp_path)
    data = replace(data, val=data.val[data.val["label"] == 0])
    with pytest.raises(UnusableData, match="--keep best and --patience need a validation split"):
        train(MOBILENET, recipe(keep="best"), data, Run(tmp_path / "run"), TrainingDevices())
    assert not (tmp_path / "run").exists()


def test_a_run_of_fewer_epochs_than_its_checkpoint(tmp_path: Path) -> None:
    data, run = small_splits(tmp_path), Run(tmp_path / "run")
    with pytest.raises(Killed):
        train(MOBILENET, recipe(epochs=3), data, run, TrainingDevices(), listener=killed_after(2))
    run.save_epochs(run.epochs()[:1])
    with pytest.raises(UnusableRun, match="other epochs than the checkpoint"):
        train(MOBILENET, recipe(epochs=3), data, run, TrainingDevices(), resume=True)


def test_a_training_starts_from_a_run_and_goes_on_without_it(tmp_path: Path) -> None:
    data, vanilla = small_splits(tmp_path), Run(tmp_path / "vanilla")
    train(MOBILENET, recipe(epochs=1), data, vanilla, TrainingDevices())
    sfic, settings = Variant(backbone="mobilenet", alpha=0.5, beta=1.0), recipe(epochs=3, init=str(vanilla.folder))
    run = Run(tmp_path / "sfic")
    with pytest.raises(Killed):
        train(sfic, settings, data, run, TrainingDevices(), listener=killed_after(1))
    start = run.config().start
    assert start is not None and start.source == str(vanilla.folder)
    vanilla.folder.rename(tmp_path / "gone")
    result = train(sfic, settings, data, run, TrainingDevices(), resume=True)
    assert train(sfic, settings, data, run, TrainingDevices(), resume=True) == result
    with pytest.raises(InvalidValue, match="there is no such file"):
        train(sfic, settings, data, Run(tmp_path / "new"), TrainingDevices())
    with pytest.raises(InvalidValue, match="cannot start"):
        resnet = Variant(backbone="resnet26")
        train(resnet, recipe(init=str(tmp_path / "gone")), data, Run(tmp_path / "new"), TrainingDevices())
    with pytest.raises(InvalidValue, match="lacks features"):
        sfic_weights = str(run.folder / "model.safetensors")
        train(MOBILENET, recipe(init=sfic_weights), data, Run(tmp_path / "new"), TrainingDevices())
    assert not (tmp_path / "new").exists()


def test_a_start_is_carried_into_the_blocks(tmp_path: Path) -> None:
    data, vanilla = small_splits(tmp_path), Run(tmp_path / "vanilla")
    train(MOBILENET, recipe(epochs=1), data, vanilla, TrainingDevices())
    same = learner_with_start(MOBILENET, recipe(init=str(vanilla.folder)))
    expected = load_file(vanilla.folder / "model.safetensors")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in same.network.state_dict().items())


def learner_with_start(variant: Variant, settings: Recipe) -> Learner:
    start = start_of(settings.init, variant)
    return Learner(new_fabric(settings, TrainingDevices()), variant, settings, start=start)


def test_pixels_are_normalised_as_a_start_expects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, vanilla = small_splits(tmp_path), Run(tmp_path / "vanilla")
    train(MOBILENET, recipe(epochs=1), data, vanilla, TrainingDevices())
    half = Start(state=vanilla.weights(), source="a publisher", normalisation=HALF)
    monkeypatch.setattr("sfic_bench.training.loop.start_of", lambda *_: half)
    run = Run(tmp_path / "run")
    train(MOBILENET, recipe(epochs=1, init="imagenet"), data, run, TrainingDevices())
    assert run.config().normalisation == HALF
    augment = TrainedNetwork(run).augment.eval()
    assert torch.equal(augment(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)), torch.ones(1, 3, 2, 2))
    onward = Run(tmp_path / "onward")
    monkeypatch.undo()
    train(MOBILENET, recipe(epochs=1, init=str(run.folder)), data, onward, TrainingDevices())
    assert onward.config().normalisation == HALF


@pytest.mark.thorough
def test_a_compiled_network_trains(tmp_path: Path) -> None:
    data, run = small_splits(tmp_path), Run(tmp_path / "run")
    train(MOBILENET, recipe(epochs=1, compile=True), data, run, TrainingDevices())
    assert np.isfinite(run.epochs()[0].loss)


def test_the_benchmark_of_training_runs(tmp_path: Path) -> None:
    """A dry run with tiny images; `benchmarks/training_speed.py` measures with larger ones."""
    script = Path(__file__).parents[1] / "benchmarks" / "training_speed.py"
    ended = run_python(script, "dry", tmp_path / "rates.json")
    assert ended.returncode == 0, ended.stderr
    rates = json.loads((tmp_path / "rates.json").read_text())["rates"]
    assert len(rates) == 3 * 6 and all(rate["images_per_s"]["estimate"] > 0 for rate in rates)
