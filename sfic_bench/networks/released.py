"""Checkpoints of the code that the paper's authors released: ResNets, vanilla or SFIC with β = 1.

Their network is a feature extractor (``rgb_extract_feature``, a `torch.nn.Sequential` of a ResNet's
children) and a linear layer ``fc``. A stage is called ``SFIC<n>`` with ``conv.{s2s,f2s,s2f,f2f}``, ``bn_s``
and ``bn_f``; MCSConv holds the kernel in use as ``weight``, which nothing trains, and two tensors that
nothing reads, ``const_weight`` and ``bias``. The vanilla baseline has a ResNet's own names.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from sfic_bench.choices import McsMode
from sfic_bench.convert import ConversionOptions, convert, graph_of, placement_of
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.registry import build
from sfic_bench.networks.weights import load, read_state, without_prefixes

BACKBONES = {
    (2, 2, 2, 2): "resnet26",
    (3, 4, 6, 3): "resnet50",
    (3, 4, 23, 3): "resnet101",
    (3, 8, 36, 3): "resnet152",
}
"""The vanilla network, by the number of blocks in each of the four layers."""

CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""ResNet's names of its children, by their places in the released Sequential."""

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
        model: in evaluation mode; it computes what the released network computes, see `import_released` for its sizes.
        backbone: the vanilla network's name.
        alpha: the share of the frequency channels, from the tensors' shapes; ``None`` for the vanilla baseline.
        dropped: names in the checkpoint of tensors that its network never reads.
        fresh: names of tensors that the checkpoint lacks, and that have fresh weights: those of the classifier.
    """

    model: nn.Module
    backbone: str
    alpha: float | None
    dropped: tuple[str, ...]
    fresh: tuple[str, ...]


def import_released(path: Path | str, *, rounds_down: bool = False) -> ReleasedNetwork:
    """Read a checkpoint of the released ResNets, vanilla or SFIC.

    Only tensors are read from the file, never code (``weights_only``). A checkpoint wrapped as in
    ``{"state_dict": …}``, names that all begin with ``module.`` or the like, and a missing classifier are understood.

    Args:
        path: the file.
        rounds_down: at an odd size, the pools of the released SFIC networks drop the last row and column. With
            ``True`` the imported network does so too, and computes what it computed at any size. By default its
            pools round up, as strided convolutions do, and it is the released network for multiples of 32 pixels.

    Raises:
        InvalidValue: for a file that is no such checkpoint, or lacks tensors.
    """
    state = {_unwrapped(name): tensor for name, tensor in without_prefixes(read_state(path)).items()}
    blocks = {match.groups() for name in state if (match := re.match(r"layer([1-4])\.(\d+)\.", name))}
    depths = tuple(sum(layer == n for layer, _ in blocks) for n in "1234")
    is_sfic = any(".SFIC1." in name for name in state)
    if depths not in BACKBONES or not (is_sfic or "layer1.0.conv3.weight" in state):
        raise InvalidValue(
            f"{path} is no checkpoint of the released ResNets: expected names such as "
            f"rgb_extract_feature.4.0.SFIC1.conv.s2s.weight, got {', '.join(list(state)[:3]) or 'no tensor'}"
        )
    backbone, source = BACKBONES[depths], f"{path}, read as {BACKBONES[depths]},"
    dropped = tuple(name for name in state if name.endswith(UNREAD))
    renamed = {_renamed(name) if is_sfic else name: t for name, t in state.items() if name not in dropped}
    classes = len(renamed["fc.weight"]) if "fc.weight" in renamed else 2
    model, alpha = build(backbone, classes=classes), None
    if is_sfic:
        alpha = _alpha(state, path)
        graph = graph_of(model)
        options = ConversionOptions(
            placement=placement_of(graph), alpha=alpha, beta=1.0, mcs=McsMode.FROZEN, rounds_down=rounds_down
        )
        model = convert(graph, options).network
        source = f"{path}, read as SFIC-{backbone} with α = {alpha:g},"
    fresh = tuple(name for name in ("fc.weight", "fc.bias") if name not in renamed)
    load(model, renamed | {name: model.state_dict()[name] for name in fresh}, source)
    return ReleasedNetwork(model=model.eval(), backbone=backbone, alpha=alpha, dropped=dropped, fresh=fresh)


def is_released(state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` has the names that the released code gives to its tensors."""
    return any("rgb_extract_feature." in name for name in state)


def _alpha(state: Mapping[str, Tensor], path: Path | str) -> float:
    """The α of which ``int(α·channels)`` is F's number of channels in every stage, in as few digits as possible."""
    pairs = [
        (len(tensor), len(state[spatial]))
        for name, tensor in state.items()
        if name.endswith(".bn_f.weight") and (spatial := name.replace(".bn_f.", ".bn_s.")) in state
    ]
    low = max((f / (s + f) for f, s in pairs), default=1.0)
    high = min(((f + 1) / (s + f) for f, s in pairs), default=0.0)
    for digits in range(1, 8):
        alpha = float(math.ceil(round(low * 10**digits, 6)) / 10**digits)
        if alpha < high:
            return alpha
    raise InvalidValue(f"{path} is no checkpoint of the released ResNets: its stages divide their channels differently")


def _unwrapped(name: str) -> str:
    """The name of a tensor within a ResNet: ``rgb_extract_feature.4.0.…`` becomes ``layer1.0.…``."""
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
