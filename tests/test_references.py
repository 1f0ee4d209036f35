"""Networks that are named by the file or library that defines them."""

import re
import sys
from pathlib import Path

import pytest
import torch
from helpers.command import run_command_process
from torch import nn

from sfic_bench.errors import InvalidValue, MissingDependency, UnsupportedModel
from sfic_bench.extras import install_command
from sfic_bench.networks import registry
from sfic_bench.networks.grid import grid_of

FILE = """
import torch
from torch import nn

def small(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes),
    )

def fixed():
    return small(7)

def wrong():
    return "a network"

class Tied(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.second.weight = self.first.weight

def computed():
    return Tied(torch.tensor(6.0).int().item())

number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_a_function_in_a_file(file: Path) -> None:
    model = registry.build(f"{file}:small", classes=4)
    assert isinstance(model, nn.Module) and model(torch.rand(1, 3, 8, 8)).shape == (1, 4)
    assert registry.build(f"{file}:fixed")(torch.rand(1, 3, 8, 8)).shape == (1, 7)
    meta = registry.build(f"{file}:small", device="meta")
    assert {p.device.type for p in meta.parameters()} == {"meta"}


def test_a_network_whose_widths_are_read_from_tensors_has_shapes_too(file: Path) -> None:
    model = registry.build(f"{file}:computed", device="meta")
    (weight,) = model.parameters()  # the one weight of both layers
    assert weight.is_meta and weight.requires_grad and weight.shape == (6, 6)


def test_wrong_references_are_named(file: Path) -> None:
    for name, words in {
        "hub:resnet50": "expected timm:NAME, torchvision:NAME or FILE.py:FUNCTION",
        f"{file}:": "expected timm:NAME",
        f"{file.with_name('other.py')}:small": "there is no file",
        f"{file}:large": "has no function 'large'",
        f"{file}:number": "has no function 'number'",
    }.items():
        with pytest.raises(InvalidValue, match=words):
            registry.build(name)
    with pytest.raises(UnsupportedModel, match=r"gives str, expected a torch\.nn\.Module"):
        registry.build(f"{file}:wrong")


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependency, match=re.escape(install_command("zoo"))):
        registry.build("timm:resnet18")


ATTENTION = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(i, 8, 3, padding=1) for i in (3, 8, 8))
        self.mix = nn.Flatten(2)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        x = self.b(self.a(x))
        x = x * self.mix(x).mean(2)[:, :, None, None]
        return self.head(self.c(x).mean((2, 3)))
"""


def test_layers_that_are_kept_vanilla_are_named(tmp_path: Path) -> None:
    path = tmp_path / "attention.py"
    path.write_text(ATTENTION)
    ratios = ("--alpha", "0.5", "--beta", "0.5")
    command = ("flops", "--backbone", f"{path}:Net", *ratios, "--input-size", "16", "--format", "json")
    refused = run_command_process(*command, "--on-unsupported", "error")
    assert refused.returncode == 2 and "node 'mix' (mix) cannot be converted: Flatten" in refused.stderr
    joined = run_command_process(*command)
    assert joined.returncode == 0 and joined.stderr == ""
    kept = run_command_process(*command, "--on-unsupported", "keep")
    assert kept.returncode == 0 and "keeps vanilla: mix (Flatten)" in kept.stderr


def test_patterns_stand_for_names() -> None:
    assert grid_of(["vgg*", "resnet26"], None, None).backbones == ("vgg13", "vgg16", "vgg19", "resnet26")
    with pytest.raises(InvalidValue, match=r"no backbone matches 'vgh\*'"):
        grid_of(["vgh*"], None, None)


def test_one_network_that_cannot_be_converted_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "attention.py"
    path.write_text(ATTENTION)
    ratios = ("--alpha", "0.5", "--beta", "0.5", "--on-unsupported", "error", "--input-size", "32")
    done = run_command_process("flops", "--backbone", f"{path}:Net,resnet26", *ratios, "--format", "csv")
    assert done.returncode == 1 and "attention.py:Net: node 'mix'" in done.stderr
    assert len(done.stdout.splitlines()) == 4  # the header, both vanilla networks and one SFIC form


def test_from_the_command_line(file: Path) -> None:
    networks = ("--backbone", f"{file}:small,resnet26", "--alpha", "0.5", "--beta", "0.5")
    done = run_command_process("flops", *networks, "--input-size", "32", "--format", "csv")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and lines[1].startswith(f"{file}:small,,,")
