"""What the six detectors compute and how they train; their costs are in tests/test_paper.py."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import PLAIN, SIZE, pictures, recipe
from PIL import Image
from scipy import fft
from torch import nn

from sfic_bench import api
from sfic_bench.cli import options
from sfic_bench.counting import count
from sfic_bench.data.manifest import BadManifest
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.measure.execution import tensors_of
from sfic_bench.networks import registry
from sfic_bench.networks.detectors.detection import Detection, two_logits
from sfic_bench.networks.detectors.f3net import Decomposition, dct_matrix
from sfic_bench.networks.detectors.m2tr import attend, from_patches, patches
from sfic_bench.networks.detectors.multi_task import MultiTask
from sfic_bench.networks.variant import Variant
from sfic_bench.training.augment import Augment
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run
from sfic_bench.training.splits import DataSplits

DETECTORS = registry.detector_names()


@pytest.mark.parametrize("name", DETECTORS)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    model = api.build(name, input_size=64)
    output = model(torch.randn(2, 3, 64, 64))
    assert two_logits(output).shape == (2, 2)
    torch.autograd.backward([t.sum() for t in tensors_of(output)])
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert count(model, (1, 3, 64, 64)).parameters.dead == 0


@pytest.mark.parametrize("name", ["meso-inception", "f3net", "amtennet", "m2tr"])
def test_some_detectors_are_made_for_one_input_size(name: str) -> None:
    parameters = [count(api.build(name, input_size=n, device="meta"), (1, 3, n, n)).parameters.total for n in (64, 128)]
    assert parameters[0] < parameters[1]
    assert registry.input_size_of(name) == {"f3net": 299, "m2tr": 320}.get(name, 256)


@pytest.mark.parametrize(
    ("name", "classes", "input_size", "words"),
    [
        ("f3net", 3, 256, "got 3 classes"),
        ("multi-task", 3, 256, "got 3 classes"),
        ("m2tr", 2, 100, "that 32 divides, got 100"),
    ],
)
def test_impossible_sizes_and_classes_are_refused(name: str, classes: int, input_size: int, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        api.build(name, classes=classes, input_size=input_size)


def test_xception_has_an_sfic_form() -> None:
    forms = list(api.costs([Variant(backbone="xception", alpha=0.5, beta=b) for b in (0.5, 1.0)], input_size=128))
    assert all(c.parity is not None and not c.parity.unexplained for c in forms)
    vanilla = next(api.costs([Variant(backbone="xception")], input_size=128))
    halves, whole = (c.cost.macs / vanilla.cost.macs for c in forms)
    assert halves < 0.7 and 0.98 < whole < 1.02


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("multi-task", "loss of its own"),
        ("meso-inception", "BatchNorm2d serves a pair before and a single tensor here"),
    ],
)
def test_some_detectors_have_no_sfic_form(name: str, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        api.build(name, alpha=0.5)
    with pytest.raises(UnsupportedModel, match=words):
        list(api.costs([Variant(backbone=name, alpha=0.5, beta=1.0)]))
    grid = options.grid(f"resnet26,{name}", None, None)
    assert len(grid) == len(list(grid)) == 1 + 12 + 1  # so that a grid leaves it vanilla
    assert len(options.grid("detectors", None, None)) == 6


def test_the_attention_of_m2tr_runs_on_joined_pairs() -> None:
    with pytest.raises(UnsupportedModel, match="has no meaning on a pair"):
        api.build("m2tr", alpha=0.5, on_unsupported="error", device="meta")
    explanation = api.explain_placement(api.build("m2tr", device="meta"))
    kept = {operation.operation for operation in explanation.operations if operation.role == "kept"}
    assert kept and (explanation.share or 0) > 0.95


def test_the_cosine_transform_is_scipys() -> None:
    image = torch.randn(24, 24, dtype=torch.float64)
    matrix = dct_matrix(24)
    transformed = matrix @ image @ matrix.T
    assert np.allclose(transformed, fft.dctn(image.numpy(), norm="ortho"))


def test_the_last_band_has_all_frequencies() -> None:
    torch.manual_seed(0)
    decomposition = Decomposition(32)
    for learned in decomposition.learned:
        nn.init.zeros_(learned)
    x = torch.randn(1, 3, 32, 32)
    low, middle, high, whole = decomposition(x).chunk(4, dim=1)
    assert torch.allclose(whole, x, atol=1e-5)
    # The first three share only frequencies on a border between two bands.
    assert torch.allclose(low + middle + high, x, atol=0.5) and not torch.allclose(high, x, atol=0.5)


def test_patches_come_back_and_attention_is_torchs() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert patches(x, 4).shape == (2, 4, 48) and torch.equal(from_patches(patches(x, 4), 4, x.shape), x)
    assert torch.equal(patches(x, 4)[0, 1].reshape(3, 4, 4), x[0, :, :4, 4:])
    q, k, v = (torch.randn(2, n, 16) for n in (5, 7, 7))
    assert torch.allclose(attend(q, k, v), nn.functional.scaled_dot_product_attention(q, k, v), atol=1e-6)


def test_transforms_are_counted_or_named() -> None:
    f3net = count(api.build("f3net", input_size=64, device="meta"), (1, 3, 64, 64)).totals
    # Ten products of 64×64 in each of three channels, of which the paper's tool sees none.
    network = api.build("f3net", input_size=64).get_submodule("xception")
    xception = count(network, (1, 12, 64, 64)).totals["conv-linear"].macs
    assert f3net["conv-linear"].macs == xception + 10 * 3 * 64**3 + 2048
    assert f3net["paper"].unsupported["matmul (functional)"] == 10
    m2tr = count(api.build("m2tr", input_size=64, device="meta"), (1, 3, 64, 64)).totals["conv-linear"]
    assert {name.split()[0] for name in m2tr.unsupported} == {"fft_rfft2", "fft_irfft2"}


def test_multi_task_decodes_the_half_that_the_label_selects() -> None:
    torch.manual_seed(0)
    model = MultiTask(2).eval()
    with torch.no_grad():
        x = torch.randn(2, 3, 64, 64)
        as_labelled = [model.forward_with_labels(x, torch.tensor([n, n])) for n in (0, 1)]
        free = model(x)
    assert free.mask.shape == (2, 2, 64, 64) and free.reconstruction.shape == x.shape
    for i, chosen in enumerate(free.logits.argmax(dim=1)):
        assert torch.allclose(free.mask[i], as_labelled[int(chosen)].mask[i], atol=1e-6)
        assert not torch.allclose(free.mask[i], as_labelled[1 - int(chosen)].mask[i], atol=1e-6)


def test_multi_tasks_loss_by_hand() -> None:
    images, labels = torch.full((1, 3, 2, 2), 0.75), torch.tensor([1])
    masks = torch.tensor([[[1, 0], [0, 0]]])
    perfect = Detection(
        torch.tensor([[0.0, 1.0]]),
        torch.stack([1 - masks, masks], dim=1).float() * 100,
        torch.full((1, 3, 2, 2), 0.5),  # 0.75 as −1 to 1
    )
    assert MultiTask(2).loss(perfect, images, labels, masks).item() == pytest.approx(0, abs=1e-6)
    worse = perfect._replace(logits=torch.tensor([[0.5, 0.25]]), reconstruction=torch.zeros(1, 3, 2, 2))
    assert MultiTask(2).loss(worse, images, labels, masks).item() == pytest.approx(0.5 + 0.75 + 0.25)


def test_a_mask_moves_with_its_image() -> None:
    torch.manual_seed(0)
    augment = Augment(recipe()).train()
    masks = torch.randint(0, 2, (4, SIZE, SIZE), dtype=torch.uint8)
    values, moved = augment.augmented(masks[:, None].expand(-1, 3, -1, -1) * 255, masks)
    assert moved is not None and torch.equal(values[:, 0] > 0.5, moved > 0.5)
    assert not torch.equal(moved, masks.float())


@pytest.mark.parametrize("name", ["multi-task", "f3net", "m2tr"])
def test_training(name: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    manifest = pictures(tmp_path / "images", {"train": 12, "val": 4, "test": 6}, watermark=True)
    data, variant = DataSplits.of(manifest), Variant(backbone=name)
    plain = recipe(**PLAIN)
    if name == "multi-task":
        # Without any masks it learns from labels alone; with some, a fake without one is an error.
        assert train(variant, plain, data, Run(tmp_path / "none"), TrainingDevices()).images == 6
        some = manifest.frame.assign(mask=["mark.png" if i == 3 else "" for i in range(len(manifest.frame))])
        with pytest.raises(BadManifest, match=r"train001.png has no mask.*column 'mask'"):
            train(
                variant,
                plain,
                DataSplits.of(type(manifest)(frame=some, folder=manifest.folder)),
                Run(tmp_path / "some"),
                TrainingDevices(),
            )
        mark = np.zeros((SIZE, SIZE), np.uint8)
        mark[8:11, 8:11] = 255
        Image.fromarray(mark).save(tmp_path / "images" / "mark.png")
        frame = manifest.frame.assign(mask=["mark.png" if label else "" for label in manifest.frame["label"]])
        data = DataSplits.of(type(manifest)(frame=frame, folder=manifest.folder))
    result = train(variant, plain, data, Run(tmp_path / "run"), TrainingDevices())
    assert result.images == 6
    trained = TrainedNetwork(Run(tmp_path / "run"))
    image = tmp_path / "images" / "test001.png"
    ((_, score, _),) = trained.scores([image])
    predictions = Run(tmp_path / "run").predictions()
    assert score == pytest.approx(predictions.loc[predictions["path"] == "test001.png", "score"].iat[0], abs=1e-5)
    assert trained.attention([torch.full((3, SIZE, SIZE), 99, dtype=torch.uint8)]).max() == 1
