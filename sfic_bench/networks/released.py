"""Checkpoints of the code that the paper's authors released: SFIC-ResNets with α = .5 and β = 1.

Their network is a feature extractor (``rgb_extract_feature``, a `torch.nn.Sequential` of a ResNet's
children) and a linear layer ``fc``. A stage is called ``SFIC<n>`` with ``conv.{s2s,f2s,s2f,f2f}``, ``bn_s``
and ``bn_f``; MCSConv holds the kernel in use as ``weight``, which nothing trains, and two tensors that
nothing reads, ``const_weight`` and ``bias``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sfic_bench.convert import to_sfic
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.registry import build
from sfic_bench.networks.weights import load, read_state

BACKBONES = {
    (2, 2, 2, 2): "resnet26",
    (3, 4, 6, 3): "resnet50",
    (3, 4, 23, 3): "resnet101",
    (3, 8, 36, 3): "resnet152",
}
"""The vanilla network, by the number of blocks in each of the four layers."""

CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""ResNet's names of its children, by their places in the released Sequential."""

ALPHA = 0.5
UNREAD = ("MCSConv.const_weight", "MCSConv.bias")
BRANCH = {"bn_s": "spatial", "bn_f": "frequency"}
STAGE2 = {"s2s": "ss", "f2s": "fs", "s2f": "sf", "f2f": "ff"}
STAGE1 = {"s2s": "spatial", "f2f": "frequency", "MCSConv": "mcs"}
STAGE3 = {"s2s": "ss", "f2f": "fs"}
"""Names of branches and convolutions in the released code, and in this package."""


@dataclass(frozen=True, kw_only=True)
class ReleasedNetwork:
    """A released checkpoint as a network of this package.

    Attributes:
        model: in evaluation mode; it computes what the released network computes, for inputs whose size
            is a multiple of 32 (for other sizes its pools round up, and the released ones round down).
        backbone: the vanilla network's name.
        dropped: names in the checkpoint of tensors that its network never reads.
    """

    model: nn.Module
    backbone: str
    dropped: tuple[str, ...]


def import_released(path: Path | str) -> ReleasedNetwork:
    """Read a checkpoint of the released SFIC-ResNet code.

    Only tensors are read from the file, never code (``weights_only``). A checkpoint wrapped in
    ``{"state_dict": …}``, and names that begin with ``module.``, are understood.

    Raises:
        InvalidValue: for a file that is no such checkpoint, or lacks tensors.
    """
    state = {_unwrapped(name): tensor for name, tensor in read_state(path).items()}
    blocks = {match.groups() for name in state if (match := re.match(r"layer([1-4])\.(\d+)\.", name))}
    depths = tuple(sum(layer == n for layer, _ in blocks) for n in "1234")
    if depths not in BACKBONES or not any(".SFIC1." in name for name in state):
        raise InvalidValue(
            f"{path} is no checkpoint of the released SFIC-ResNets: expected names such as "
            f"rgb_extract_feature.4.0.SFIC1.conv.s2s.weight, got {', '.join(list(state)[:3]) or 'no tensor'}"
        )
    backbone = BACKBONES[depths]
    dropped = tuple(name for name in state if name.endswith(UNREAD))
    renamed = {_renamed(name): t for name, t in state.items() if name not in dropped}
    classes = len(renamed["fc.weight"]) if "fc.weight" in renamed else 2
    model = to_sfic(build(backbone, classes=classes), alpha=ALPHA, beta=1.0, mcs="frozen").eval()
    load(model, renamed, f"{path}, read as SFIC-{backbone},")
    return ReleasedNetwork(model=model, backbone=backbone, dropped=dropped)


def _unwrapped(name: str) -> str:
    """The name of a tensor within a ResNet: ``rgb_extract_feature.4.0.…`` becomes ``layer1.0.…``."""
    name = name.removeprefix("module.")
    if not name.startswith("rgb_extract_feature."):
        return name
    place, _, rest = name.removeprefix("rgb_extract_feature.").partition(".")
    return f"{CHILDREN.get(place, place)}.{rest}"


def _renamed(name: str) -> str:
    """The name of the same tensor in this package."""
    match = re.match(r"(layer\d\.\d+\.)(SFIC(\d)|downsample\.0)\.(.+)$", name)
    if match is None:
        return name
    block, _, number, rest = match.groups()
    conv, norm = (f"conv{number}", f"bn{number}") if number else ("downsample.0", "downsample.1")
    is_stage1 = block == "layer1.0." and number == "1"
    is_stage3 = block == "layer4.0." and number in ("3", None)
    head, _, tail = rest.partition(".")
    if head in BRANCH:
        return f"{block}{norm}.{tail}" if is_stage3 else f"{block}{norm}.{BRANCH[head]}.{tail}"
    part, _, tensor = tail.partition(".")
    names = STAGE1 if is_stage1 else STAGE3 if is_stage3 else STAGE2
    return f"{block}{conv}.{names.get(part, part)}.{tensor}"
