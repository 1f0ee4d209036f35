"""An imported checkpoint computes what the released network computes, which is defined here by its tensors' names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfic_bench.errors import InvalidValue
from sfic_bench.networks.released import import_released

PREFIX = "rgb_extract_feature."
Branches = tuple[Tensor, Tensor]

WIDTHS = (64, 128, 256, 512)
BLOCKS = (2, 2, 2, 2)


def norm(name: str, channels: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", torch.rand(channels) + 0.5
    yield f"{name}.bias", 0.1 * torch.randn(channels)
    yield f"{name}.running_mean", 0.1 * torch.randn(channels)
    yield f"{name}.running_var", torch.rand(channels) + 0.5
    yield f"{name}.num_batches_tracked", torch.tensor(3)


def conv(name: str, c_out: int, c_in: int, k: int) -> tuple[str, Tensor]:
    return f"{name}.weight", torch.randn(c_out, c_in, k, k) / (c_in * k * k) ** 0.5


def stage(name: str, c_in: int, c_out: int, k: int, kind: str) -> Iterator[tuple[str, Tensor]]:
    i, o = c_in // 2, c_out // 2
    if kind == "first":
        yield from (conv(f"{name}.conv.{part}", o, c_in, k) for part in ("s2s", "f2f"))
        ring = torch.rand(c_in, 1, 5, 5)
        ring[:, :, 2, 2] = 0
        kernel = ring / ring.sum((2, 3), keepdim=True)
        kernel[:, :, 2, 2] = -1
        yield f"{name}.conv.MCSConv.weight", kernel
        yield f"{name}.conv.MCSConv.const_weight", kernel.clone()
        yield f"{name}.conv.MCSConv.bias", torch.randn(c_in)
    elif kind == "last":
        yield from (conv(f"{name}.conv.{part}", c_out, i, k) for part in ("s2s", "f2f"))
        yield from norm(f"{name}.bn_s", c_out)
        return
    else:
        yield from (conv(f"{name}.conv.{part}", o, i, k) for part in ("s2s", "f2s", "s2f", "f2f"))
    yield from norm(f"{name}.bn_s", o)
    yield from norm(f"{name}.bn_f", o)


def checkpoint() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = dict([conv(f"{PREFIX}0", 64, 3, 7)])
    state |= dict(norm(f"{PREFIX}1", 64))
    channels = 64
    for i, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        for j in range(count):
            name = f"{PREFIX}{4 + i}.{j}"
            if i == 3 and j:
                for n, (a, b, k) in enumerate(((2048, 512, 1), (512, 512, 3), (512, 2048, 1)), 1):
                    state |= dict([conv(f"{name}.conv{n}", b, a, k)]) | dict(norm(f"{name}.bn{n}", b))
                continue
            last = "last" if i == 3 else ""
            into = width if (i, j) == (0, 0) else channels
            state |= dict(stage(f"{name}.SFIC1", channels, width, 1, "first" if (i, j) == (0, 0) else ""))
            state |= dict(stage(f"{name}.SFIC2", width, width, 3, ""))
            state |= dict(stage(f"{name}.SFIC3", width, 4 * width, 1, last))
            if not j:
                state |= dict(stage(f"{name}.downsample.0", into, 4 * width, 1, last))
            channels = 4 * width
    return state | {"fc.weight": torch.randn(2, 2048) / 45, "fc.bias": torch.randn(2)}


def relu(pair: Branches) -> Branches:
    return pair[0].relu(), pair[1].relu()


class Released:
    """The forward pass of the released network, with α = .5 and branches of one size."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = {n: t.double() for n, t in state.items()}

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

    def bottleneck(self, x: Tensor, name: str) -> Tensor:
        out = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1").relu()
        out = self.norm(self.conv(out, f"{name}.conv2"), f"{name}.bn2").relu()
        return (self.norm(self.conv(out, f"{name}.conv3"), f"{name}.bn3") + x).relu()

    def __call__(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.norm(self.conv(x, f"{PREFIX}0", 2), f"{PREFIX}1").relu(), 3, 2, 1)
        pair = (x, x)  # replaced by the first block
        for i, count in enumerate(BLOCKS):
            for j in range(count):
                name, stride = f"{PREFIX}{4 + i}.{j}", 2 if i and not j else 1
                if i == 3 and j:
                    x = self.bottleneck(x, name)
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
        return F.linear(x.mean((2, 3)), self.state["fc.weight"], self.state["fc.bias"])


@pytest.mark.parametrize("wrapping", ["", "module.", "state_dict"])
def test_it_computes_what_the_released_network_computes(tmp_path: Path, wrapping: str) -> None:
    state = checkpoint()
    path = tmp_path / "released.pth"
    if wrapping == "state_dict":
        torch.save({"state_dict": state, "epoch": torch.tensor(3)}, path)
    else:
        torch.save({wrapping + n: t for n, t in state.items()}, path)
    imported = import_released(path)
    assert imported.backbone == "resnet26" and not imported.model.training
    assert imported.dropped == (
        "layer1.0.SFIC1.conv.MCSConv.const_weight",
        "layer1.0.SFIC1.conv.MCSConv.bias",
    )
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(imported.model.double()(x), Released(state)(x), rtol=1e-6, atol=1e-6)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    with pytest.raises(InvalidValue, match="there is no such file"):
        import_released(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InvalidValue, match="as a checkpoint of tensors alone"):
        import_released(path)
    torch.save({"layer1.0.conv1.weight": torch.ones(1)}, path)
    with pytest.raises(InvalidValue, match="no checkpoint of the released SFIC-ResNets"):
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
    with pytest.raises(InvalidValue, match="tensors alone"):
        import_released(path)
    assert "code has run" not in capsys.readouterr().out
