"""Adapters for DeepfakeBench and ForensicHub, beside stand-ins with the interface of their registries."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from helpers.command import run_command
from helpers.training import SIZE, small_splits, write_splits
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.errors import InvalidValue, MissingDependency, UnknownName, UnsupportedModel
from sfic_bench.frameworks import deepfakebench, forensichub
from sfic_bench.frameworks.backbone import FrameworkBackbone, NetworkRecord
from sfic_bench.frameworks.weights import run_from_checkpoint
from sfic_bench.networks.normalisation import HALF, IMAGENET
from sfic_bench.networks.variant import Variant
from sfic_bench.training.inference import TrainedNetwork, load_input
from sfic_bench.training.runs import Run

yaml = pytest.importorskip("yaml")

SFIC = Variant(backbone="mobilenet", alpha=0.5, beta=0.5)

# The registries of both projects, as their adapters call them.
DEEPFAKEBENCH = {
    "metrics/registry.py": """
class Registry:
    def __init__(self): self.data = {}
    def register_module(self, module_name=None):
        def register(cls):
            self.data[module_name] = cls
            return cls
        return register
    def __getitem__(self, key): return self.data[key]
BACKBONE, DETECTOR = Registry(), Registry()
""",
    "metrics/base_metrics_class.py": "def calculate_metrics_for_train(label, output): return 0.75, 0.25, 0.5, 1.0\n",
    "metrics/__init__.py": "",
    "loss.py": "import torch\nLOSSFUNC = {'cross_entropy': torch.nn.CrossEntropyLoss}\n",
}
FORENSICHUB = {
    "ForensicHub/__init__.py": "",
    "ForensicHub/registry.py": """
class Registry:
    def __init__(self): self.module_dict = {}
    def register_module(self, name=None, force=False, module=None):
        assert force or name not in self.module_dict
        self.module_dict[name] = module
MODELS = Registry()
""",
}


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both projects can be imported, and are forgotten afterwards."""
    for name, text in (DEEPFAKEBENCH | FORENSICHUB).items():
        path = tmp_path / "projects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "projects")
    _forget()
    deepfakebench.register()
    forensichub.register()
    yield
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("metrics", "loss", "ForensicHub")]:
        del sys.modules[name]


def record(variant: Variant = SFIC, size: int = SIZE) -> NetworkRecord:
    return NetworkRecord(framework="DeepfakeBench", variant=variant, input_size=size, normalisation=HALF)


def bench_config(variant: Variant = SFIC, **changes: object) -> dict[str, object]:
    """A detector's YAML file as DeepfakeBench reads it."""
    read: dict[str, object] = yaml.safe_load(deepfakebench.config_text(variant, input_size=SIZE))
    return {**read, **changes}


def bench_detector(config: Mapping[str, object]) -> nn.Module:
    from metrics.registry import DETECTOR  # type: ignore[import-not-found]  # the stand-in's

    detector: nn.Module = DETECTOR[config["model_name"]](config)
    return detector


def train_step(model: nn.Module, loss: Tensor) -> None:
    """A step as both trainers take it, which changes weights and statistics."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


@pytest.mark.parametrize("backbone", ["resnet26", "mobilenet", "vgg13", "xception", "alexnet"])
@pytest.mark.parametrize("ratios", [(None, None), (0.5, 0.25)])
def test_both_parts_make_the_networks_logits(backbone: str, ratios: tuple[float | None, float | None]) -> None:
    variant = Variant(backbone=backbone, alpha=ratios[0], beta=ratios[1])
    parts = FrameworkBackbone(record(variant, 64)).eval()
    network = api.build(backbone, alpha=ratios[0], beta=ratios[1], input_size=64).eval()
    state = {name.partition(".")[2]: tensor for name, tensor in parts.state_dict().items() if "." in name}
    network.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    features = parts.features(images)
    assert features.ndim == (2 if backbone == "alexnet" else 4)  # alexnet pools nothing for its classifier
    assert features.shape[1] > 2 and any(parameter.ndim == 2 for parameter in parts.head.parameters())
    assert torch.equal(parts.classifier(features), network(images))


def test_a_network_with_a_loss_of_its_own_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="multi-task has a loss of its own, which DeepfakeBench would not use"):
        FrameworkBackbone(record(Variant(backbone="multi-task")))


def test_a_record_survives_a_checkpoint() -> None:
    original = record()
    assert NetworkRecord.from_tensor(original.to_tensor()) == original
    text = bytes(original.to_tensor().tolist())
    for other in (b"", b"\0" * 9, b"[" * 10_000, text.replace(b"mobile", b"\xff\xfe"), text.replace(b"0.5", b"7.5")):
        with pytest.raises(InvalidValue, match="record of its network cannot be read"):
            NetworkRecord.from_tensor(torch.tensor(list(other), dtype=torch.uint8))


@pytest.mark.usefixtures("projects")
def test_a_detector_of_deepfakebench_becomes_a_run(tmp_path: Path) -> None:
    detector = bench_detector(bench_config())
    images, labels = torch.rand(6, 3, SIZE, SIZE) * 2 - 1, torch.tensor([0, 1] * 3)
    batch = {"image": images, "label": labels}
    predicted = detector(batch)
    assert predicted["cls"].shape == (6, 2) and predicted["feat"].shape[:2] == (6, 1024)
    losses = detector.get_losses(batch, predicted)  # type: ignore[operator]
    assert torch.equal(losses["overall"], nn.functional.cross_entropy(predicted["cls"], labels))
    assert detector.get_train_metrics(batch, predicted) == {"acc": 0.5, "auc": 0.75, "eer": 0.25, "ap": 1.0}  # type: ignore[operator]
    train_step(detector, losses["overall"])
    torch.save(detector.state_dict(), tmp_path / "ckpt_best.pth")

    manifest = write_splits(small_splits(tmp_path))
    status, _, err = run_command("framework", "import", tmp_path / "ckpt_best.pth", "-o", tmp_path / "run")
    assert status == 0 and f"mobilenet α=0.5 β=0.5, images of {SIZE}×{SIZE}, trained by DeepfakeBench, torch 2" in err
    paths = sorted(tmp_path.rglob("test*.png"))
    files = torch.stack([load_input(path, SIZE) for path in paths])
    with torch.no_grad():
        expected = detector.eval()({"image": (files / 255 - 0.5) / 0.5}, inference=True)["prob"]
    network = TrainedNetwork(Run(tmp_path / "run"))
    torch.testing.assert_close(network.probabilities(files), expected.double(), rtol=1e-4, atol=1e-5)

    scores = tmp_path / "scores.json"
    status, _, err = run_command(
        "evaluate", tmp_path / "run", "--data", manifest, "--format", "json", "-o", scores
    )  # fmt: skip
    assert status == 0, err
    found = json.loads(scores.read_text())
    assert found["images"] == 7 and found["scores"]["frame"]["auc"] is not None


@pytest.mark.usefixtures("projects")
def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(bench_detector(bench_config()).state_dict(), tmp_path / "sfic.pth")
    other = Variant(backbone="mobilenet", alpha=0.5, beta=1.0)  # whose tensors are alike
    state = torch.load(tmp_path / "sfic.pth")
    with pytest.raises(InvalidValue, match=r"is of mobilenet α=0.5 β=0.5 .* says mobilenet α=0.5 β=1 "):
        bench_detector(bench_config(other)).load_state_dict(state)
    with pytest.raises(InvalidValue, match=r"std \[0.5, 0.5, 0.5\].* says .*std \[0.25, 0.25, 0.25\]"):
        bench_detector(bench_config(std=[0.25] * 3)).load_state_dict(state)
    bench_detector(bench_config(resolution=64)).load_state_dict(state)  # a network takes any size


@pytest.mark.usefixtures("projects")
def test_averages_and_parallel_networks_are_read(tmp_path: Path) -> None:
    detector = bench_detector(bench_config())
    averaged = torch.optim.swa_utils.AveragedModel(detector)
    torch.save(averaged.state_dict(), tmp_path / "swa.pth")
    run = run_from_checkpoint(tmp_path / "swa.pth", tmp_path / "run")
    state = detector.state_dict()
    for name, tensor in run.weights().items():
        held = [state[key] for key in (f"backbone.body.{name}", f"backbone.head.{name}") if key in state]
        assert torch.equal(tensor, held[0])


@pytest.mark.usefixtures("projects")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone_config": None}, "backbone_config must have at least the key network, got None"),
        ({"backbone_config": {"alpha": 0.5}}, "backbone_config: Object missing required field `network`"),
        (
            {"backbone_config": {"network": "mobilenet", "num_classes": 5}},
            "num_classes must be 2, real and fake, got 5",
        ),
        ({"mean": [0.5]}, r"backbone_config: .*mean"),
    ],
)
def test_a_configuration_that_cannot_be_used(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        bench_detector({**bench_config(), **changes})


@pytest.mark.usefixtures("projects")
def test_a_model_of_forensichub_becomes_a_run(tmp_path: Path) -> None:
    from ForensicHub.registry import MODELS  # type: ignore[import-not-found]  # the stand-in's

    config = yaml.safe_load(forensichub.config_text(SFIC, input_size=SIZE))
    assert config["transform"]["init_config"]["norm_type"] == config["model"]["init_config"]["norm_type"]
    model = MODELS.module_dict[config["model"]["name"]](**config["model"]["init_config"])
    images, labels = torch.randn(6, 3, SIZE, SIZE), torch.tensor([0.0, 1.0] * 3)
    output = model(image=images, label=labels, if_predcit_label=True)
    assert output["pred_label"].shape == (6,) and output["visual_loss"] == {"combined_loss": output["backward_loss"]}
    expected = -(labels * output["pred_label"].log() + (1 - labels) * (1 - output["pred_label"]).log()).mean()
    torch.testing.assert_close(output["backward_loss"], expected)
    train_step(model, output["backward_loss"])
    torch.save({"model": model.state_dict(), "epoch": 3}, tmp_path / "checkpoint-3.pth")
    run = run_from_checkpoint(tmp_path / "checkpoint-3.pth", tmp_path / "run")
    assert run.config().normalisation == IMAGENET
    pixels = torch.randint(0, 256, (4, 3, SIZE, SIZE), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    with torch.no_grad():
        theirs = model.eval()(image=(pixels / 255 - mean) / std, label=torch.zeros(4))["pred_label"].double()
    torch.testing.assert_close(TrainedNetwork(run).probabilities(pixels), theirs, rtol=1e-4, atol=1e-5)
    with pytest.raises(UnknownName, match="unknown norm_type 'imagenet'; did you mean 'image_net'"):
        forensichub.ForensicHubModel("mobilenet", norm_type="imagenet")


def test_outside_both_projects_nothing_is_registered() -> None:
    with pytest.raises(MissingDependency, match=r"DeepfakeBench's module metrics.registry cannot be imported"):
        deepfakebench.register()
    with pytest.raises(MissingDependency, match="ForensicHub cannot be imported"):
        forensichub.register()


def test_checkpoints_that_are_no_run(tmp_path: Path) -> None:
    good, file = FrameworkBackbone(record()).state_dict(), tmp_path / "x.pth"

    def refusal(state: Mapping[str, Tensor], **settings: bool) -> str:
        torch.save(dict(state), file)
        with pytest.raises(InvalidValue) as caught:
            run_from_checkpoint(file, tmp_path / "run", **settings)
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    assert "has 0 records of a network of sfic-bench" in refusal({"fc.weight": torch.ones(2, 2)})
    assert "has other.weight, which is not of mobilenet" in refusal({**good, "other.weight": torch.ones(1)})
    name = next(name for name in good if name.startswith("head."))
    assert f"lacks {name.partition('.')[2]}" in refusal({key: good[key] for key in good if key != name})
    assert "values in" in refusal({**good, name: torch.full_like(good[name], float("nan"))})
    code = NetworkRecord(
        framework="x", variant=Variant(backbone="evil.py:net"), input_size=SIZE, normalisation=HALF
    ).to_tensor()  # fmt: skip
    assert "file of code evil.py:net, which is not run by itself" in refusal({**good, "_extra_state": code})


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sfic.yaml"
    arguments = ("framework", "config", "deepfakebench", "--backbone", "mobilenet", "--alpha", ".5", "-o", path)
    assert run_command(*arguments)[0] == 0
    assert yaml.safe_load(path.read_text())["backbone_config"] == {"network": "mobilenet", "alpha": 0.5, "beta": 1}
    status, _, err = run_command(*arguments)
    assert status == 2 and "is there already" in err
    torch.save(FrameworkBackbone(record()).state_dict(), tmp_path / "x.pth")
    with pytest.raises(InvalidValue, match="is there already"):
        run_from_checkpoint(tmp_path / "x.pth", tmp_path)


def test_a_vanilla_configuration(tmp_path: Path) -> None:
    path = tmp_path / "vanilla.yaml"
    assert run_command("framework", "config", "forensichub", "--backbone", "resnet26", "-o", path)[0] == 0
    model = yaml.safe_load(path.read_text())["model"]["init_config"]
    assert model["backbone"] == "resnet26" and model["alpha"] is None and model["beta"] is None


def test_a_published_detector_names_its_trainer(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    from sfic_bench.hub import HubDetector

    torch.save(FrameworkBackbone(record()).state_dict(), tmp_path / "x.pth")
    run = run_from_checkpoint(tmp_path / "x.pth", tmp_path / "run")
    detector = HubDetector.from_run(run.folder)
    card = str(detector.generate_model_card(license="mit"))
    assert f"Trained by DeepfakeBench, torch {torch.__version__}; its data, recipe and scores" in card
    assert "epochs" not in card and detector.normalise.mean.flatten().tolist() == [0.5, 0.5, 0.5]
