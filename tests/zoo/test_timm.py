"""`sfic_bench.timm`: registered names, timm's interface, and the SFIC form of any network that timm made."""

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

import sfic_bench
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.extras import install_command
from sfic_bench.networks.fetching import UnreachableWeights
from sfic_bench.timm import OWN, PREFIX, TIMMS, SficFeatures, SficNetwork, convert

SIZE = 96
USUAL = ("mobilenet", "resnet26", "vgg13", "efficientnet_b0", "xception", "convnext_atto")
NAMES = [
    pytest.param(name, marks=() if name in USUAL else pytest.mark.thorough, id=name) for name in (*OWN, *TIMMS)
]  # fmt: skip


def created(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model(PREFIX + name, **settings).eval()


def images(channels: int = 3) -> Tensor:
    return torch.randn(2, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_every_name_is_registered() -> None:
    assert set(timm.list_models(f"{PREFIX}*")) == {PREFIX + name for name in (*OWN, *TIMMS)}


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_registered_networks_are_those_of_build(name: str) -> None:
    model = created(name, alpha=0.5, beta=0.5, num_classes=2)
    reference = sfic_bench.build(f"timm:{name}" if name in TIMMS else name, alpha=0.5, beta=0.5, classes=2).eval()
    model.load_state_dict(reference.state_dict())
    x = images()
    torch.testing.assert_close(model(x), reference(x))
    last = model.forward_features(x)
    assert last.dim() == 4 and last.shape[1] == model.num_features
    torch.testing.assert_close(model.forward_head(last), model(x))
    assert model.forward_head(last, pre_logits=True).shape == (2, model.head_hidden_size)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_features_have_the_shapes_of_the_vanilla_networks(name: str) -> None:
    """At α = 0 there is no F, so that the network is vanilla but for its strides."""
    x = images()
    sfic, vanilla = (created(name, alpha=alpha, beta=0.5, features_only=True) for alpha in (0.5, 0.0))
    maps = sfic(x)
    info: Any = sfic.feature_info
    assert type(sfic) is SficFeatures and isinstance(maps, list)
    assert [m.shape for m in maps] == [m.shape for m in vanilla(x)]
    assert [m.shape[1] for m in maps] == info.channels()
    assert [round(SIZE / m.shape[-1]) for m in maps] == info.reduction()
    chosen = created(name, alpha=0.5, beta=0.5, features_only=True, out_indices=(1, 3))
    chosen.load_state_dict(sfic.state_dict(), strict=False)
    for own, other in zip(chosen(x), (maps[1], maps[3]), strict=True):
        torch.testing.assert_close(own, other)
    assert chosen.feature_info.channels() == [maps[1].shape[1], maps[3].shape[1]]


@torch.no_grad()
def test_features_of_a_network_that_timm_and_this_package_have() -> None:
    own = created("resnet50", features_only=True)
    assert [m.shape for m in own(images())] == [
        m.shape for m in timm.create_model("resnet50", features_only=True)(images())
    ]


@pytest.mark.parametrize("name", ["resnet26", "convnext_atto"])
def test_classifiers_are_replaced_and_left_out(name: str) -> None:
    model, x = created(name, num_classes=5), images()
    assert model(x).shape == (2, 5) and model.num_classes == 5
    model.reset_classifier(7)
    assert model(x).shape == (2, 7) == (2, model.get_classifier().out_features)
    model.reset_classifier(0)
    assert model(x).shape == (2, model.head_hidden_size) and isinstance(model.get_classifier(), nn.Identity)
    model.reset_classifier(0, "")
    torch.testing.assert_close(model(x), model.forward_features(x))
    with pytest.raises(InvalidValue, match="7 classes needs global_pool='avg'"):
        model.reset_classifier(7)
    with pytest.raises(InvalidValue, match="must be 'avg' or '', got 'max'"):
        model.reset_classifier(7, "max")
    model.reset_classifier(3, "avg")
    assert model(x).shape == (2, 3)


def test_networks_are_created_without_a_classifier_or_a_pool() -> None:
    x = images()
    assert created("resnet26", num_classes=0)(x).shape == (2, 2048)
    assert created("resnet26", num_classes=0, global_pool="")(x).shape == (2, 2048, 3, 3)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["mobilenet", "convnext_atto"])
def test_networks_read_images_of_any_number_of_channels(name: str, channels: int) -> None:
    assert created(name, num_classes=2, in_chans=channels)(images(channels)).shape == (2, 2)


@pytest.mark.filterwarnings("ignore")  # torch.jit.trace warns of sizes that become constants
def test_networks_are_copied_pickled_trained_compiled_and_exported() -> None:
    model, x = created("mobilenet", alpha=0.5, beta=0.5, num_classes=2), images()
    expected = model(x)
    others: list[Any] = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for other in others:
        torch.testing.assert_close(other(x), expected)
        other.reset_classifier(3)
        assert other(x).shape == (2, 3)
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    traced: Any = torch.jit.trace(model, x, check_trace=False)  # type: ignore[no-untyped-call]  # torch has no types here
    torch.testing.assert_close(traced(x), expected)
    model.train()(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_first_weights_are_drawn_as_in_build() -> None:
    weights = [m.weight.std() for m in created("resnet26").modules() if isinstance(m, nn.Conv2d)]
    reference = [
        m.weight.std()
        for m in sfic_bench.build("resnet26", alpha=0.5, classes=1000).modules()
        if isinstance(m, nn.Conv2d)
    ]
    torch.testing.assert_close(sorted(weights), sorted(reference), rtol=0.1, atol=0)


def test_timm_knows_the_input_of_a_network() -> None:
    model = created("resnet26")
    assert model.default_cfg is model.pretrained_cfg
    settings = timm.data.resolve_model_data_config(model)
    assert settings["input_size"] == (3, 256, 256) and settings["mean"] == (0.485, 0.456, 0.406)


def test_published_weights_that_cannot_be_fetched_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnreachableWeights):
        created("resnet50", pretrained=True)


@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet_b0", "convnext_atto", "seresnet50", "densenet121", "regnety_002"]
)
def test_any_network_of_timm_has_its_interface_when_converted(name: str) -> None:
    vanilla = timm.create_model(name, num_classes=4).eval()
    x = torch.randn(1, 3, 224, 224)
    model = convert(vanilla, alpha=0.5, beta=0.5)
    reference = sfic_bench.to_sfic(vanilla, alpha=0.5, beta=0.5)
    assert isinstance(model, SficNetwork) and model.num_features == vanilla.num_features
    model.load_state_dict(reference.state_dict())  # MCSConv begins with random weights
    torch.testing.assert_close(model.eval()(x), reference.eval()(x))
    assert model.forward_features(x).shape == vanilla.forward_features(x).shape
    model.reset_classifier(9)
    assert model(x).shape == (1, 9)
    maps = timm.create_model(name, features_only=True).eval()
    assert [m.shape for m in convert(maps, alpha=0.5, beta=0.5)(x)] == [m.shape for m in maps(x)]


def test_networks_whose_maps_are_collected_by_hooks_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="by hooks"):
        convert(timm.create_model("xception71", features_only=True), alpha=0.5)


def test_the_page_on_timm_runs() -> None:
    """Its blocks of Python, one after another."""
    page = (Path(__file__).parents[2] / "docs" / "timm.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert names["model"](images()).shape == (2, 2) and len(names["backbone"](images())) == 4
    assert isinstance(names["maps"], SficFeatures)


def test_without_timm_the_module_is_an_import_that_says_what_to_install() -> None:
    code = "import sys; sys.modules['timm'] = None; import sfic_bench.timm"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and "MissingDependency: timm cannot be imported" in failed.stderr
    assert install_command("zoo") in failed.stderr
    caught = "import sys; sys.modules['timm'] = None\ntry: import sfic_bench.timm\nexcept ImportError: pass"
    assert subprocess.run([sys.executable, "-c", caught], check=False).returncode == 0
