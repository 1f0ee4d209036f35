"""An imported checkpoint computes what the released network computes, which is defined here by its tensors' names."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfic_bench.convert import fuse
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.released import import_released
from sfic_bench.networks.start import build_from
from sfic_bench.networks.start_sources import file_start
from sfic_bench.networks.variant import Variant

PREFIX = "rgb_extract_feature."
Branches = tuple[Tensor, Tensor]

WIDTHS = (64, 128, 256, 512)
DEPTHS = {"resnet26": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}


def norm(name: str, channels: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", torch.rand(channels) + 0.5
    yield f"{name}.bias", 0.1 * torch.randn(channels)
    yield f"{name}.running_mean", 0.1 * torch.randn(channels)
    yield f"{name}.running_var", torch.rand(channels) + 0.5
    yield f"{name}.num_batches_tracked", torch.tensor(3)


def conv(name: str, c_out: int, c_in: int, k: int) -> tuple[str, Tensor]:
    return f"{name}.weight", torch.randn(c_out, c_in, k, k) / (c_in * k * k) ** 0.5


def stage(name: str, c_in: int, c_out: int, k: int, kind: str, alpha: float) -> Iterator[tuple[str, Tensor]]:
    f_in, f_out = int(alpha * c_in), int(alpha * c_out)
    s_in, s_out = c_in - f_in, c_out - f_out
    if kind == "first":
        yield conv(f"{name}.conv.s2s", s_out, c_in, k)
        yield conv(f"{name}.conv.f2f", f_out, c_in, k)
        ring = torch.randn(c_in, 1, 5, 5)
        ring[:, :, 2, 2] = 0
        kernel = ring / ring.sum((2, 3), keepdim=True)
        kernel[:, :, 2, 2] = -1
        yield f"{name}.conv.MCSConv.weight", kernel
        yield f"{name}.conv.MCSConv.const_weight", kernel.clone()
        yield f"{name}.conv.MCSConv.bias", torch.randn(c_in)
    elif kind == "last":
        yield conv(f"{name}.conv.s2s", c_out, s_in, k)
        yield conv(f"{name}.conv.f2f", c_out, f_in, k)
        yield from norm(f"{name}.bn_s", c_out)
        return
    else:
        for part, outputs, inputs in (
            ("s2s", s_out, s_in),
            ("f2s", s_out, f_in),
            ("s2f", f_out, s_in),
            ("f2f", f_out, f_in),
        ):
            yield conv(f"{name}.conv.{part}", outputs, inputs, k)
    yield from norm(f"{name}.bn_s", s_out)
    yield from norm(f"{name}.bn_f", f_out)


def plain_block(name: str, sizes: tuple[tuple[int, int, int], ...]) -> Iterator[tuple[str, Tensor]]:
    for n, (a, b, k) in enumerate(sizes, 1):
        yield conv(f"{name}.conv{n}", b, a, k)
        yield from norm(f"{name}.bn{n}", b)


def checkpoint(blocks: tuple[int, ...] = DEPTHS["resnet26"], alpha: float | None = 0.5) -> dict[str, Tensor]:
    """What the released code saves: an SFIC-ResNet, or the vanilla baseline without an α."""
    torch.manual_seed(0)
    state = dict([conv(f"{PREFIX}0", 64, 3, 7)])
    state |= dict(norm(f"{PREFIX}1", 64))
    channels = 64
    for i, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True)):
        for j in range(count):
            name = f"{PREFIX}{4 + i}.{j}"
            sizes = ((channels, width, 1), (width, width, 3), (width, 4 * width, 1))
            into = width if (i, j) == (0, 0) else channels
            channels = 4 * width
            if alpha is None or (i == 3 and j):
                state |= dict(plain_block(name, sizes))
                if not j:
                    state |= dict([conv(f"{name}.downsample.0", 4 * width, sizes[0][0], 1)])
                    state |= dict(norm(f"{name}.downsample.1", 4 * width))
                continue
            first, last = "first" if (i, j) == (0, 0) else "", "last" if i == 3 else ""
            state |= dict(stage(f"{name}.SFIC1", sizes[0][0], width, 1, first, alpha))
            state |= dict(stage(f"{name}.SFIC2", width, width, 3, "", alpha))
            state |= dict(stage(f"{name}.SFIC3", width, 4 * width, 1, last, alpha))
            if not j:
                state |= dict(stage(f"{name}.downsample.0", into, 4 * width, 1, last, alpha))
    return state | {"fc.weight": torch.randn(2, 2048) / 45, "fc.bias": torch.randn(2)}


def relu(pair: Branches) -> Branches:
    return pair[0].relu(), pair[1].relu()


class Released:
    """The forward pass of the released network, whose branches have one size and whose pools drop odd rows."""

    def __init__(self, state: dict[str, Tensor], blocks: tuple[int, ...] = DEPTHS["resnet26"]) -> None:
        self.state, self.blocks = {n: t.double() for n, t in state.items()}, blocks

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (self.state[f"{name}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-5)

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def exchange(self, pair: Branches, name: str, stride: int = 1) -> Branches:
        s, f = (F.avg_pool2d(x, 2) if stride == 2 else x for x in pair)
        new_s = self.conv(s, f"{name}.conv.s2s") + self.conv(f, f"{name}.conv.f2s")
        new_f = self.conv(s, f"{name}.conv.s2f") + self.conv(f, f"{name}.conv.f2f")
        return self.norm(new_s, f"{name}.bn_s"), self.norm(new_f, f"{name}.bn_f")

    def fuse(self, pair: Branches, name: str, stride: int = 1) -> Tensor:
        s, f = (F.avg_pool2d(x, 2) if stride == 2 else x for x in pair)
        both = self.conv(s, f"{name}.conv.s2s") + self.conv(f, f"{name}.conv.f2f")
        return self.norm(both, f"{name}.bn_s")

    def first(self, x: Tensor, name: str) -> Branches:
        filtered = F.conv2d(x, self.state[f"{name}.conv.MCSConv.weight"], padding=2, groups=64)
        s, f = self.conv(x, f"{name}.conv.s2s"), self.conv(filtered, f"{name}.conv.f2f")
        return self.norm(s, f"{name}.bn_s").relu(), self.norm(f, f"{name}.bn_f").relu()

    def bottleneck(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        out = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1").relu()
        out = self.norm(self.conv(out, f"{name}.conv2", stride), f"{name}.bn2").relu()
        if f"{name}.downsample.0.weight" in self.state:
            x = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        return (self.norm(self.conv(out, f"{name}.conv3"), f"{name}.bn3") + x).relu()

    def __call__(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.norm(self.conv(x, f"{PREFIX}0", 2), f"{PREFIX}1").relu(), 3, 2, 1)
        pair = (x, x)  # replaced by the first block
        for i, count in enumerate(self.blocks):
            for j in range(count):
                name, stride = f"{PREFIX}{4 + i}.{j}", 2 if i and not j else 1
                if f"{name}.conv1.weight" in self.state:
                    x = self.bottleneck(x, name, stride)
                    continue
                if (i, j) == (0, 0):
                    inner = shortcut = self.first(x, f"{name}.SFIC1")
                else:
                    inner, shortcut = relu(self.exchange(pair, f"{name}.SFIC1")), pair
                inner = relu(self.exchange(inner, f"{name}.SFIC2", stride))
                if i == 3:
                    fused = self.fuse(shortcut, f"{name}.downsample.0", stride)
                    x = (self.fuse(inner, f"{name}.SFIC3") + fused).relu()
                    continue
                inner = self.exchange(inner, f"{name}.SFIC3")
                if not j:
                    shortcut = self.exchange(shortcut, f"{name}.downsample.0", stride)
                pair = relu((inner[0] + shortcut[0], inner[1] + shortcut[1]))
        return F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), self.state["fc.weight"], self.state["fc.bias"])


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75, None])
@pytest.mark.parametrize(
    ("backbone", "sizes"),
    [
        ("resnet26", (64, 65, 75)),
        *(pytest.param(name, (256, 225, 299), marks=pytest.mark.thorough) for name in DEPTHS),
    ],
)
def test_it_is_the_released_network_bit_by_bit(
    tmp_path: Path, backbone: str, alpha: float | None, sizes: tuple[int, ...]
) -> None:
    """With the released rounding at any size, and without it at multiples of 32."""
    path, state = tmp_path / "released.pth", checkpoint(DEPTHS[backbone], alpha)
    torch.save(state, path)
    released = Released(state, DEPTHS[backbone])
    for rounds_down in (True, False):
        imported = import_released(path, rounds_down=rounds_down)
        assert (imported.backbone, imported.alpha, imported.fresh) == (backbone, alpha, ())
        assert not imported.model.training
        for size in sizes if rounds_down else sizes[:1]:
            x = torch.randn(1, 3, size, size, dtype=torch.float64)
            with torch.no_grad():
                assert torch.equal(imported.model.double()(x), released(x))


def test_a_fused_import_rounds_as_the_imported_network(tmp_path: Path) -> None:
    path, state = tmp_path / "released.pth", checkpoint()
    torch.save(state, path)
    model = import_released(path, rounds_down=True).model.double()
    x = torch.randn(1, 3, 75, 75, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fuse(model)(x), Released(state)(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("has_classifier", [True, False])
def test_a_training_can_start_from_a_released_checkpoint(tmp_path: Path, has_classifier: bool) -> None:
    path, state = tmp_path / "released.pth", checkpoint(alpha=0.25)
    torch.save({n: t for n, t in state.items() if has_classifier or not n.startswith("fc.")}, path)
    start = file_start(path, "resnet26")
    started = build_from(start, Variant(backbone="resnet26", alpha=0.25, beta=1.0))
    assert started.fresh == (() if has_classifier else ("fc.weight", "fc.bias"))
    if has_classifier:
        x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(started.network.double().eval()(x), Released(state)(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(InvalidValue, match="has in other shapes"):
        build_from(start, Variant(backbone="resnet26", alpha=0.5, beta=1.0))
    with pytest.raises(InvalidValue, match="is a released checkpoint of resnet26, which cannot start resnet50"):
        file_start(path, "resnet50")


WRAPPED: dict[str, dict[str, object]] = {
    **{key: {key: None, "epoch": 3} for key in ("state_dict", "model", "net", "network", "weights", "params")},
    "model_state_dict": {"model_state_dict": None, "optimiser": {"lr": 0.1}},
    "options and numbers": {
        "net": None, "args": Namespace(lr=1e-4, name="x"), "auc": np.float64(0.9), "loss": np.float32(0.1),
        "epoch": np.int64(3),
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrapping", "prefix"),
    [
        *((wrapping, "") for wrapping in WRAPPED),
        *(("state_dict", p) for p in ("module.", "model.", "_orig_mod.", "module.module.", "_orig_mod.module.")),
    ],
)
def test_wrapped_checkpoints_are_read(tmp_path: Path, wrapping: str, prefix: str) -> None:
    path, state = tmp_path / "released.pth", checkpoint()
    names = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({key: names if value is None else value for key, value in WRAPPED[wrapping].items()}, path)
    imported = import_released(path)
    assert imported.dropped == (
        "layer1.0.SFIC1.conv.MCSConv.const_weight",
        "layer1.0.SFIC1.conv.MCSConv.bias",
    )
    kernel = state[f"{PREFIX}4.0.SFIC1.conv.MCSConv.weight"]
    assert torch.equal(imported.model.get_submodule("layer1.0.conv1.mcs").kernel(), kernel)  # type: ignore[operator]


def test_a_checkpoint_without_a_classifier_has_a_fresh_one(tmp_path: Path) -> None:
    path, state = tmp_path / "released.pth", checkpoint()
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("fc.")}, path)
    imported = import_released(path)
    assert imported.fresh == ("fc.weight", "fc.bias")
    assert imported.model(torch.randn(1, 3, 64, 64)).shape == (1, 2)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    with pytest.raises(InvalidValue, match="there is no such file"):
        import_released(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InvalidValue, match="as a checkpoint of tensors alone"):
        import_released(path)
    torch.save({"layer1.0.conv1.weight": torch.ones(1)}, path)
    with pytest.raises(InvalidValue, match="no checkpoint of the released ResNets"):
        import_released(path)
    torch.save(["a list"], path)
    with pytest.raises(InvalidValue, match="holds no state dict"):
        import_released(path)
    state = checkpoint()
    state["rgb_extract_feature.5.0.SFIC9.conv.s2s.weight"] = torch.ones(1)
    torch.save(state, path)
    with pytest.raises(InvalidValue, match=r"has besides layer2\.0\.conv9"):
        import_released(path)
    del (
        state["rgb_extract_feature.5.0.SFIC9.conv.s2s.weight"],
        state["rgb_extract_feature.5.1.SFIC2.conv.f2s.weight"],
    )
    torch.save(state, path)
    with pytest.raises(InvalidValue, match=r"lacks layer2\.1\.conv2\.fs\.weight"):
        import_released(path)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code has run",)


def test_no_code_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "malicious.pth"
    torch.save({"fc.weight": Malicious()}, path)
    with pytest.raises(InvalidValue, match=r"holds a print, .* save the state_dict\(\) of its"):
        import_released(path)
    assert "code has run" not in capsys.readouterr().out
