"""Published weights: the networks here compute what the published ones compute, under names that carry over."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from helpers.networks import randomised
from safetensors.torch import save_file
from torch import Tensor, nn
from zoo.test_zoo import CONVERTED

from sfic_bench.networks import registry
from sfic_bench.networks.head import head_tensors
from sfic_bench.networks.normalisation import HALF, IMAGENET, Normalisation
from sfic_bench.networks.published import PUBLISHED, renamed
from sfic_bench.networks.start import Start, build_from, load_start
from sfic_bench.networks.start_sources import file_start, imagenet_start
from sfic_bench.networks.variant import Variant

OF_TIMM = [name for name in PUBLISHED if name != "alexnet"]
REPEATING = ("resnet101", "resnet152", "vgg16", "vgg19")
CLASSES = 5


def architecture(name: str) -> str:
    return PUBLISHED[name].place.name.partition(".")[0]


def theirs(name: str) -> nn.Module:
    """timm's network with random weights and statistics; VGG's linear layers, which are not compared, are narrow."""
    options = {"mlp_ratio": 1 / 64} if name.startswith("vgg") else {}
    made: nn.Module = timm.create_model(architecture(name), num_classes=CLASSES, **options)
    return randomised(made).double().eval()


def ours(name: str, state: dict[str, Tensor]) -> tuple[nn.Module, list[str]]:
    network = registry.build(name, classes=CLASSES).double()
    return network.eval(), load_start(network, Start(state=renamed(state, name), source="timm"))


def check_equal(one: nn.Module, other: nn.Module, size: int = 96) -> None:
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        expected = other(x)
        assert expected.std() > 1e-3  # so that it depends on the images
        torch.testing.assert_close(one(x), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "name",  # the others repeat the blocks of smaller ones
    [pytest.param(n, marks=[pytest.mark.thorough] if n in REPEATING else []) for n in OF_TIMM],
)
def test_a_network_computes_what_timms_computes(name: str) -> None:
    published = theirs(name)
    network, fresh = ours(name, published.state_dict())
    if name.startswith("vgg"):
        assert fresh == ["classifier.weight", "classifier.bias"]
        assert isinstance(published.features, nn.Module) and isinstance(network.features, nn.Module)
        check_equal(network.features, published.features)
    else:
        assert fresh == []
        check_equal(network, published)


@pytest.mark.parametrize("name", OF_TIMM)
def test_the_table_says_what_timm_says(name: str) -> None:
    published, config = PUBLISHED[name], timm.get_pretrained_cfg(PUBLISHED[name].place.name)
    assert config is not None and config.num_classes == 1000
    assert published.normalisation == Normalisation(mean=config.mean, std=config.std)
    assert published.place.repository == config.hf_hub_id
    assert published.place.repository or published.place.url == config.url


@pytest.mark.parametrize("name", ["alexnet", "densenet121", "efficientnet_b0", "resnet50", "vgg13"])
def test_a_network_computes_what_torchvisions_computes(name: str) -> None:
    module: Any = torchvision.models
    published = module.get_model(f"{name}_bn" if name.startswith("vgg") else name, num_classes=CLASSES)
    published = randomised(published).double().eval()
    state = published.state_dict()
    if name == "densenet121":  # the published file has the names of an old version
        state = {n.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): t for n, t in state.items()}
    network, fresh = ours(name, state)
    if name.startswith("vgg"):
        assert fresh == ["classifier.weight", "classifier.bias"]
        check_equal(network.features, published.features)  # type: ignore[arg-type]  # of a Module, mypy knows no attributes
    else:
        assert fresh == []
        check_equal(network, published)


def test_mobilenets_published_weights_are_of_another_function() -> None:
    """Which is why there are none for it: all else is equal, but the activations end at 6."""
    published = timm.create_model("mobilenetv1_100")
    assert any(isinstance(module, nn.ReLU6) for module in published.modules())
    assert not any(isinstance(module, nn.ReLU6) for module in registry.build("mobilenet").modules())


def test_the_address_of_alexnet_is_torchvisions() -> None:
    module: Any = torchvision.models
    assert module.AlexNet_Weights.DEFAULT.url == PUBLISHED["alexnet"].place.url


@pytest.mark.parametrize("name", ["resnet10t.c3_in1k", "efficientnet_lite0"])
def test_weights_of_timms_networks_come_from_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = randomised(timm.create_model(name)).float()
    path = tmp_path / "model.safetensors"
    save_file(published.state_dict(), path)
    asked: list[tuple[str, str]] = []

    def cached(repository: str, file: str, revision: str | None = None) -> str:
        asked.append((repository, file))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    config, backbone = timm.get_pretrained_cfg(name), f"timm:{name}"
    assert config is not None
    start = imagenet_start(backbone)
    assert asked == [(config.hf_hub_id, "model.safetensors")]
    assert start.source == (
        f"{config.architecture}.{config.tag} (https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors)"
    )
    assert start.normalisation == Normalisation(mean=config.mean, std=config.std)
    whole = build_from(start, Variant(backbone=backbone), classes=1000)
    assert whole.fresh == ()
    check_equal(whole.network.double().eval(), published.double().eval())
    of_two = build_from(start, Variant(backbone=backbone, alpha=0.5, beta=0.5))
    assert of_two.fresh == (f"{config.classifier}.weight", f"{config.classifier}.bias")
    by_hand = file_start(path, backbone)
    assert (by_hand.digest, by_hand.normalisation) == (start.digest, start.normalisation)


@pytest.mark.parametrize("name", ["googlenet", "resnet18"])
def test_weights_of_torchvisions_networks_come_from_its_server(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = torchvision.models
    weights = module.get_model_weights(name).DEFAULT
    quick = {"init_weights": False, "transform_input": True} if name == "googlenet" else {}
    published = randomised(module.get_model(name, **quick)).double().eval()
    (tmp_path / "checkpoints").mkdir()
    torch.save(published.state_dict(), tmp_path / "checkpoints" / weights.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    start = imagenet_start(f"torchvision:{name}")
    assert start.normalisation == (HALF if name == "googlenet" else IMAGENET)
    started = build_from(start, Variant(backbone=f"torchvision:{name}"), classes=1000)
    assert started.fresh == ()
    by_hand = file_start(tmp_path / "checkpoints" / weights.url.rpartition("/")[2], f"torchvision:{name}")
    assert (by_hand.digest, by_hand.normalisation) == (start.digest, start.normalisation)
    pixels = torch.rand(2, 3, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        expected = published(normalised(pixels, IMAGENET))
        result = started.network.double().eval()(normalised(pixels, start.normalisation))
        torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "name",  # every sixth in every run
    [pytest.param(n, marks=[pytest.mark.thorough] if i % 6 else []) for i, n in enumerate(CONVERTED)],
)
def test_the_head_is_what_depends_on_the_number_of_classes(name: str) -> None:
    five, six = (registry.build(name, classes=classes, device="meta") for classes in (5, 6))
    shapes = {n: tensor.shape for n, tensor in six.state_dict().items()}
    expected = {n for n, tensor in five.state_dict().items() if tensor.shape != shapes[n]}
    assert expected and {n for names in head_tensors(five) for n in names} == expected


def normalised(pixels: Tensor, by: Normalisation) -> Tensor:
    mean, std = (torch.tensor(v, dtype=pixels.dtype).view(3, 1, 1) for v in (by.mean, by.std))
    return (pixels - mean) / std


OFFLINE = """
import sys; sys.path.insert(0, "tests/zoo")
import conftest
from sfic_bench.errors import SficBenchError
from sfic_bench.networks.start_sources import imagenet_start
try:
    imagenet_start(sys.argv[1])
except SficBenchError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("name", ["timm:resnet50", "alexnet"])
def test_without_a_network_there_is_one_clear_message_within_seconds(name: str, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    env = os.environ | dict.fromkeys(("HF_ENDPOINT", "http_proxy", "https_proxy", "all_proxy"), nobody)
    env |= {"HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    env.pop("HF_HUB_OFFLINE", None)
    begin = time.monotonic()
    result = subprocess.run([sys.executable, "-c", OFFLINE, name], env=env, capture_output=True, text=True, timeout=60)
    assert time.monotonic() - begin < 30, result.stderr  # most of it is importing timm and torch
    (line,) = result.stdout.splitlines()
    assert line.startswith("UnreachableWeights cannot fetch the weights ")
    assert "download https://" in line and "--init FILE" in line
    assert "Traceback" not in result.stderr
