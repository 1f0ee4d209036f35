"""Where weights to start from come from: files, what others have published, and what to do where it cannot be had."""

import math
import re
import socket
import sys
from pathlib import Path

import pytest
import torch
from helpers.fake_hub import FakeHub
from helpers.networks import randomised
from safetensors.torch import save, save_file
from torch import Tensor

from sfic_bench import api
from sfic_bench.errors import InvalidValue, MissingDependency, SficBenchError, UnsupportedModel
from sfic_bench.extras import install_command
from sfic_bench.networks import fetching, registry
from sfic_bench.networks.fetching import Place, UnreachableWeights, fetched
from sfic_bench.networks.normalisation import HALF, IMAGENET, Normalisation
from sfic_bench.networks.published import PUBLISHED, renamed
from sfic_bench.networks.start import build_from, digest_of
from sfic_bench.networks.start_sources import file_start, imagenet_start
from sfic_bench.networks.variant import Variant

SMALL = "mobilenet"


@pytest.mark.parametrize("cut", [0, 4, 9, 60, -1])
def test_a_cut_off_file_is_an_error_that_names_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(save({"classifier.weight": torch.ones(40)})[:cut])
    with pytest.raises(InvalidValue, match=r"^cannot read .*cut.safetensors"):
        file_start(path, SMALL)


@pytest.mark.parametrize("text", ['{"schema": "sfic-bench/run/3"}', "hello"])
def test_a_file_of_something_else_is_said_to_be_that(tmp_path: Path, text: str) -> None:
    (tmp_path / "other").write_text(text)
    with pytest.raises(InvalidValue, match=r"tensors alone: neither torch nor safetensors wrote it$"):
        file_start(tmp_path / "other", SMALL)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"), ("<!doctype", "a web page")],
)
def test_what_a_download_gives_instead_of_the_file_is_named(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "model.safetensors").write_text(text)
    with pytest.raises(InvalidValue, match=f"it is {kind}; download the file itself"):
        file_start(tmp_path / "model.safetensors", SMALL)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
        torch.zeros(1).expand(2**40, 2**10),
    ],
    ids=["sparse", "without values", "larger than its file"],
)
def test_tensors_that_are_not_plain_are_an_error(tmp_path: Path, tensor: Tensor) -> None:
    torch.save({"classifier.weight": tensor}, tmp_path / "odd.pth")
    with pytest.raises(InvalidValue, match=r"odd\.pth (holds no plain values of classifier\.weight|as a checkpoint)"):
        file_start(tmp_path / "odd.pth", SMALL)


@pytest.mark.parametrize("length", [2**63, 2**40, 10])
def test_a_file_that_lies_about_its_header_is_an_error(tmp_path: Path, length: int) -> None:
    path = tmp_path / "lying.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,9]}}')
    with pytest.raises(InvalidValue, match=r"^cannot read .*lying.safetensors"):
        file_start(path, SMALL)


def test_reading_safetensors_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(MissingDependency, match=re.escape(install_command("train"))):
        file_start(tmp_path / "a.safetensors", SMALL)


def published_names(backbone: str, classes: int) -> dict[str, Tensor]:
    """Weights of a network under the names of their publisher, by the table read backwards."""
    back = {here: there for there, here in PUBLISHED[backbone].names().items() if here is not None}
    state = registry.build(backbone, classes=classes).state_dict()
    parts = ((name.rpartition("."), tensor) for name, tensor in state.items())
    return {f"{back.get(module, module)}.{kind}": tensor for (module, _, kind), tensor in parts}


@pytest.mark.parametrize("backbone", ["xception", "efficientnet_b0"])
def test_every_tensor_has_a_published_name(backbone: str) -> None:
    state = published_names(backbone, classes=2)
    ours = registry.build(backbone, device="meta").state_dict()
    assert not any(name in ours for name in state)
    assert sorted(renamed(state, backbone)) == sorted(ours)


def test_a_published_file_expects_its_publishers_normalisation(tmp_path: Path) -> None:
    save_file(published_names("xception", classes=1000), tmp_path / "published.safetensors")
    save_file(published_names("xception", classes=2), tmp_path / "own.safetensors")
    published, own = (file_start(tmp_path / f"{name}.safetensors", "xception") for name in ("published", "own"))
    assert (published.normalisation, own.normalisation) == (HALF, IMAGENET)
    assert build_from(published, Variant(backbone="xception")).fresh == ("classifier.weight", "classifier.bias")


def test_the_oldest_file_of_xception_has_matrices(tmp_path: Path) -> None:
    state = published_names("xception", classes=1000)
    flat = {name: t.flatten(1) if ".pointwise." in name else t for name, t in state.items()}
    assert sum(flat[name].dim() != t.dim() for name, t in state.items()) == 34  # 2 a block, 3 in eight of 12, and 2
    torch.save(flat, tmp_path / "xception.pth")
    assert file_start(tmp_path / "xception.pth", "xception").digest == digest_of(renamed(state, "xception"))


def test_a_prefix_that_is_the_networks_own_stays(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, classes))\n"
        "    def forward(self, x):\n"
        "        return self.model(x)\n"
    )
    backbone = f"{tmp_path}/net.py:Net"
    torch.save(registry.build(backbone).state_dict(), tmp_path / "net.pth")
    start = file_start(tmp_path / "net.pth", backbone)
    assert build_from(start, Variant(backbone=backbone), classes=3).fresh == ("model.2.weight", "model.2.bias")


@pytest.mark.parametrize(
    ("values", "words"),
    [((0.5, 0.5), "three numbers"), ((0.5, math.nan, 0.5), "three numbers"), ((0.5, 0.0, 0.5), "above 0")],
)
def test_a_normalisation_is_checked(values: tuple[float, float, float], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        Normalisation(mean=(0, 0, 0), std=values)


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        ("mobilenet", "use --backbone timm:mobilenetv1_100"),
        ("m2tr", "there are some for alexnet, densenet121"),
        ("resnet27", "did you mean 'resnet26'"),
    ],
)
def test_without_published_weights_the_error_says_what_there_is(backbone: str, words: str) -> None:
    with pytest.raises(SficBenchError, match=words):
        imagenet_start(backbone)


def test_a_users_own_network_has_no_published_weights(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def make(): ...")
    with pytest.raises(UnsupportedModel, match=r"no weights of ImageNet are published for .*net\.py:make"):
        imagenet_start(f"{tmp_path}/net.py:make")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return hub


RESNET = Place(name="resnet26.bt_in1k", repository="timm/resnet26.bt_in1k")


def test_what_is_in_the_cache_is_not_asked_for(hub: FakeHub) -> None:
    hub.in_cache, hub.failure = {"pytorch_model.bin"}, ConnectionError()
    assert fetched(RESNET) == hub.folder / "pytorch_model.bin"
    assert hub.asked == []


def test_published_weights_reach_an_sfic_network_with_a_fresh_classifier(hub: FakeHub) -> None:
    published = registry.build("resnet26", classes=1000)
    save_file(published.state_dict(), hub.folder / "model.safetensors")
    hub.in_cache = {"model.safetensors"}
    whole = api.build("resnet26", weights="imagenet", classes=1000)
    assert torch.equal(whole.get_parameter("fc.weight"), published.get_parameter("fc.weight"))
    sfic = api.build("resnet26", alpha=0.5, beta=0.5, weights="imagenet")
    assert sfic.get_parameter("fc.weight").shape == (2, 2048)
    vanilla = published.get_parameter("layer2.0.conv2.weight")
    assert torch.equal(sfic.get_parameter("layer2.0.conv2.sf.weight"), vanilla[64:, :64])


def test_the_first_file_that_the_repository_has_is_fetched(hub: FakeHub) -> None:
    hub.on_hub = {"pytorch_model.bin"}
    assert fetched(Place(name="a", repository="timm/a@v2")) == hub.folder / "pytorch_model.bin"
    assert hub.asked == ["https://hub/timm/a/v2/model.safetensors", "https://hub/timm/a/v2/pytorch_model.bin"]


@pytest.mark.parametrize(
    "failure",
    [OSError("Name or service not known"), RuntimeError("Cannot send a request"), ValueError("no certificate")],
)
def test_without_a_network_the_error_says_what_to_bring(hub: FakeHub, failure: Exception) -> None:
    hub.failure = failure
    with pytest.raises(UnreachableWeights) as caught:
        imagenet_start("resnet26")
    assert str(caught.value) == (
        "cannot fetch the weights resnet26.bt_in1k (model.safetensors of timm/resnet26.bt_in1k on huggingface.co): "
        f"{type(failure).__name__}: {failure}; download "
        "https://huggingface.co/timm/resnet26.bt_in1k/resolve/main/model.safetensors on a machine with a network, and "
        "name the file: --init FILE"
    )
    assert len(hub.asked) == 1  # and not again and again


def test_where_the_user_forbids_it_nothing_is_asked(hub: FakeHub) -> None:
    hub.constants.HF_HUB_OFFLINE = True
    with pytest.raises(UnreachableWeights, match="HF_HUB_OFFLINE forbids it"):
        fetched(RESNET)
    assert hub.asked == []


def test_an_empty_repository_is_an_error(hub: FakeHub) -> None:
    with pytest.raises(UnreachableWeights, match=r"the repository has none of model\.safetensors, pytorch_model\.bin"):
        fetched(RESNET)


def test_without_the_library_the_error_names_the_extra_and_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        MissingDependency, match=re.escape(install_command("zoo")) + ", or download https://.*--init FILE"
    ):
        imagenet_start("resnet26")


def test_a_damaged_file_in_the_cache_is_named(hub: FakeHub) -> None:
    hub.in_cache = {"model.safetensors"}
    (hub.folder / "model.safetensors").write_bytes(b"half of a fi")
    with pytest.raises(
        InvalidValue, match=r"^cannot read .*model.safetensors.*; delete it, so that it is fetched again"
    ):
        imagenet_start("resnet26")


def test_published_weights_from_cache_to_network(hub: FakeHub) -> None:
    hub.in_cache = {"model.safetensors"}
    published = randomised(registry.build("resnet26", classes=1000)).float()
    save_file(published.state_dict(), hub.folder / "model.safetensors")
    start = imagenet_start("resnet26")
    assert start.source == (
        "resnet26.bt_in1k (https://huggingface.co/timm/resnet26.bt_in1k/resolve/main/model.safetensors)"
    )
    assert (start.digest, start.normalisation) == (digest_of(published.state_dict()), IMAGENET)
    started = build_from(start, Variant(backbone="resnet26", alpha=0.5, beta=1.0))
    assert started.fresh == ("fc.weight", "fc.bias")


def test_a_file_from_the_web_is_kept_where_torch_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "weights-0123456789.pth"
    served.write_bytes(b"not what the digest in its name says")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    place = Place(name="weights", url=served.as_uri())
    with pytest.raises(UnreachableWeights, match="invalid hash value"):
        fetched(place)
    plain = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(1)}, plain)
    kept = fetched(Place(name="weights", url=plain.as_uri()))
    assert kept == tmp_path / "hub" / "checkpoints" / "weights.pth"
    assert kept.read_bytes() == plain.read_bytes()
    plain.unlink()
    assert fetched(Place(name="weights", url=plain.as_uri())) == kept


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(fetching, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts and says nothing
        place = Place(name="weights", url=f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth")
        with pytest.raises(UnreachableWeights, match="timed out"):
            fetched(place)
    assert socket.getdefaulttimeout() is None
