"""The registry of vanilla networks by name.

Importing it does not import torch: a network's code is loaded when the network is built.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from sfic_bench.errors import InvalidValue, UnknownName, check_count
from sfic_bench.networks.external import LIBRARIES, FailedCode, check_reference, factory_of, is_reference, networks_of
from sfic_bench.networks.families import FAMILIES
from sfic_bench.plugins import WithPlugins

if TYPE_CHECKING:
    import torch
    from torch import nn

Factory = Callable[..., "nn.Module"]
"""A function that makes a network for a number of classes and, if its weights depend on it, an ``input_size``."""

INPUT_SIZE = 256
"""Height and width that the paper gives every network, pixels."""


@dataclass(frozen=True, slots=True)
class _Entry:
    factory: str | Factory
    input_size: int
    sized: bool
    detector: bool


_ENTRIES: dict[str, _Entry] = {}

_PLUGINS: WithPlugins[Factory] = WithPlugins({}, "backbones")
"""Functions of other packages, by the name of their network."""


def register(
    name: str,
    factory: str | Factory,
    *,
    input_size: int = INPUT_SIZE,
    sized: bool = False,
    detector: bool = False,
) -> None:
    """Add a vanilla network.

    Args:
        name: what `build` and the command line call it.
        factory: makes the network for a number of classes; or its place as ``"package.module:attribute"``.
        input_size: height and width of the images in its source, pixels.
        sized: whether its weights are made for one input size, which the factory then takes as ``input_size``.
        detector: whether it is one of the detectors that the paper compares with, and not a backbone.

    Raises:
        InvalidValue: if the name is taken.
    """
    if name in _ENTRIES:
        raise InvalidValue(f"backbone {name!r} is registered already: choose another name")
    _ENTRIES[name] = _Entry(factory, input_size, sized, detector)


PAPERS = ("mobilenet", "resnet26", "resnet50", "resnet101", "resnet152", "vgg13", "vgg16", "vgg19")
"""The paper's own backbones, whose first weights are drawn as in its released code."""


def names() -> tuple[str, ...]:
    """All registered backbones, in the order of registration."""
    return tuple(name for name, entry in _ENTRIES.items() if not entry.detector)


def detector_names() -> tuple[str, ...]:
    """All registered detectors, in the paper's order."""
    return tuple(name for name, entry in _ENTRIES.items() if entry.detector)


def plugin_names() -> tuple[str, ...]:
    """Backbones that other installed packages add. ``all`` does not stand for them."""
    return tuple(name for name in _PLUGINS if name not in _ENTRIES)


def input_size_of(name: str) -> int:
    """Height and width of the images in the source of ``name``, pixels; the paper's size if it is not registered."""
    return _ENTRIES[name].input_size if name in _ENTRIES else INPUT_SIZE


def check_name(name: str) -> None:
    """Raise `UnknownName` unless ``name`` is registered or a reference, `InvalidValue` for a malformed reference."""
    if is_reference(name):
        check_reference(name)
    elif name not in _ENTRIES and name not in _PLUGINS:
        raise UnknownName("backbone", name, (*_ENTRIES, *plugin_names()), FAMILIES)


def matching(pattern: str) -> tuple[str, ...]:
    """The backbones whose names match a pattern such as ``vgg*`` or ``timm:convnext*``.

    Raises:
        InvalidValue: if no name matches it.
        MissingDependency: for the networks of a library that is not installed.
    """
    place, _, network = pattern.rpartition(":")
    if place in LIBRARIES:
        found = tuple(f"{place}:{name}" for name in fnmatch.filter(networks_of(place), network))
    else:
        found = tuple(fnmatch.filter((*_ENTRIES, *plugin_names()), pattern))
    if not found:
        raise InvalidValue(f"no backbone matches {pattern!r}; see `sfic-bench list`, or name networks as timm:PATTERN")
    return found


def build(
    name: str,
    *,
    classes: int = 2,
    input_size: int = INPUT_SIZE,
    device: "torch.device | str | None" = None,
) -> "nn.Module":
    """A new vanilla network, in training mode and with the first weights of its family.

    On ``device="meta"`` it has shapes only, and building it takes milliseconds.

    Args:
        name: a registered name, ``timm:NAME``, ``torchvision:NAME`` or ``FILE.py:FUNCTION``.
        classes: number of logits; a function in a file gets it if it takes ``num_classes``.
        input_size: height and width, for a network whose weights depend on them; other networks take any size.
        device: where the weights lie.

    Raises:
        UnknownName: for a name that is not registered, or that the library does not have.
        InvalidValue: for a malformed reference, or a size or number of classes that the network cannot have.
        MissingDependency: for a reference to a library that is not installed.
    """
    check_name(name)
    check_count("classes", classes)
    entry = _ENTRIES.get(name)
    if entry is not None:
        factory = _loaded(entry.factory)
    elif name in _PLUGINS:
        factory = _PLUGINS[name]
    else:
        factory = factory_of(name)
    sizes = {"input_size": input_size} if entry is not None and entry.sized else {}
    return _built_on(device, partial(factory, classes, **sizes))


def _built_on(device: "torch.device | str | None", make: "Callable[[], nn.Module]") -> "nn.Module":
    """What ``make`` builds, on ``device``.

    Some networks, such as torchvision's RegNets, read their widths from tensors. Tensors on the meta device cannot be
    read, so there such a network is a copy of one that is built on the default device.
    """
    from sfic_bench.initialisation import placed_on  # imports torch
    from sfic_bench.modules import on_meta

    try:
        with placed_on(device):
            return make()
    except (RuntimeError, FailedCode):
        if str(device) != "meta":
            raise
    return on_meta(make())


def _loaded(factory: str | Factory) -> Factory:
    if not isinstance(factory, str):
        return factory
    module, _, attribute = factory.partition(":")
    loaded: Factory = getattr(import_module(module), attribute)
    return loaded


for _name, _place in {
    "alexnet": "alexnet:AlexNet",
    "densenet121": "densenet:densenet121",
    "efficientnet_b0": "efficientnet:EfficientNet",
    "mobilenet": "mobilenet:MobileNet",
    **{name: f"resnet:{name}" for name in ("resnet26", "resnet50", "resnet101", "resnet152")},
    **{name: f"vgg:{name}" for name in ("vgg13", "vgg16", "vgg19")},
}.items():
    register(_name, f"sfic_bench.networks.backbones.{_place}")

for _name, _place, _size, _sized in (
    ("meso-inception", "meso_inception:MesoInception", 256, True),
    ("multi-task", "multi_task:MultiTask", 256, False),
    ("xception", "xception:Xception", 299, False),
    ("f3net", "f3net:F3Net", 299, True),
    ("amtennet", "amtennet:AMTENnet", 256, True),
    ("m2tr", "m2tr:M2TR", 320, True),
):
    register(_name, f"sfic_bench.networks.detectors.{_place}", input_size=_size, sized=_sized, detector=True)
