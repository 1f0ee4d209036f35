"""Checkpoints of the code that the paper's authors released: SFIC-ResNets, α = .5, no resize.

Their network is a feature extractor (``rgb_extract_feature``, a `torch.nn.Sequential` of a ResNet's
children) and a linear layer ``fc``. A stage there is ``SFIC<n>`` with ``conv.{s2s,f2s,s2f,f2f}``, ``bn_s``
and ``bn_f``; MCSConv holds the kernel in use as ``weight``, which nothing trains, and two tensors that
nothing reads, ``const_weight`` and ``bias``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sfic_bench.backbones import build
from sfic_bench.convert import to_sfic
from sfic_bench.errors import InvalidValue
from sfic_bench.state import load, read_state

BACKBONES = {
    (2, 2, 2, 2): "resnet26",
    (3, 4, 6, 3): "resnet50",
    (3, 4, 23, 3): "resnet101",
    (3, 8, 36, 3): "resnet152",
}
"""By the number of blocks in each of the four layers."""

CHILDREN = {"0": "conv1", "1": "bn1", **{str(i + 3): f"layer{i}" for i in range(1, 5)}}
"""Places in the released Sequential, and ResNet's names for what stands there."""

ALPHA = 0.5
DEAD = ("MCSConv.const_weight", "MCSConv.bias")
BRANCH = {"bn_s": "spatial", "bn_f": "frequency"}
STAGE2 = {"s2s": "ss", "f2s": "fs", "s2f": "sf", "f2f": "ff"}
STAGE1 = {"s2s": "spatial", "f2f": "frequency"}
STAGE3 = {"s2s": "ss", "f2f": "fs"}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A released checkpoint as a network of ours.

    Attributes:
        model: in evaluation mode; computes what the released network computes, for inputs whose size
            is a multiple of 32 (elsewhere their pools round down, and ours up).
        backbone: the vanilla network's name.
        dropped: names in the checkpoint of tensors that its network never reads.
    """

    model: nn.Module
    backbone: str
    dropped: tuple[str, ...]


def import_released(path: Path | str) -> Imported:
    """Read a checkpoint of the released SFIC-ResNet code.

    Only tensors are read from the file, never code (``weights_only``). A checkpoint wrapped in
    ``{"state_dict": …}``, and names that begin with ``module.``, are understood.

    Raises:
        InvalidValue: for a file that is no such checkpoint; says what was found instead.
    """
    path = Path(path)
    state = {_unwrapped(name): tensor for name, tensor in read_state(path).items()}
    depths = tuple(
        len({m.group(1) for m in (re.match(rf"layer{i}\.(\d+)\.", n) for n in state) if m})
        for i in range(1, 5)
    )
    if depths not in BACKBONES or not any(".SFIC1." in name for name in state):
        raise InvalidValue(
            f"{path} is no checkpoint of the released SFIC-ResNets: expected names such as "
            f"rgb_extract_feature.4.0.SFIC1.conv.s2s.weight, found {', '.join(list(state)[:3]) or 'no tensor'}"
        )
    backbone = BACKBONES[depths]
    dropped = tuple(name for name in state if name.endswith(DEAD))
    ours = {_renamed(name): t for name, t in state.items() if name not in dropped}
    classes = len(ours["fc.weight"]) if "fc.weight" in ours else 2
    model = to_sfic(build(backbone, classes=classes), alpha=ALPHA, beta=1.0, mcs="frozen").eval()
    load(model, ours, f"{path}, read as SFIC-{backbone},")
    return Imported(model=model, backbone=backbone, dropped=dropped)


def _unwrapped(name: str) -> str:
    """The name within a ResNet: ``rgb_extract_feature.4.0.…`` is ``layer1.0.…``."""
    name = name.removeprefix("module.")
    if not name.startswith("rgb_extract_feature."):
        return name
    place, _, rest = name.removeprefix("rgb_extract_feature.").partition(".")
    return f"{CHILDREN.get(place, place)}.{rest}"


def _renamed(name: str) -> str:
    """The name that the same tensor has here."""
    match = re.match(r"(layer\d\.\d+\.)(SFIC(\d)|downsample\.0)\.(.+)$", name)
    if match is None:
        return name
    block, _, number, rest = match.groups()
    conv, norm = (f"conv{number}", f"bn{number}") if number else ("downsample.0", "downsample.1")
    head, _, tail = rest.partition(".")
    last = block == "layer4.0." and number in ("3", None)
    if head in BRANCH:
        return f"{block}{norm}.{tail}" if last else f"{block}{norm}.{BRANCH[head]}.{tail}"
    part, _, tensor = tail.partition(".")
    first = block == "layer1.0." and number == "1"
    if first and part == "MCSConv":
        return f"{block}{conv}.mcs.{tensor}"
    names = STAGE1 if first else STAGE3 if last else STAGE2
    return f"{block}{conv}.{names.get(part, part)}.{tensor}"
