"""Names of vanilla networks. Importing this room does not import torch: a name's code loads when built."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from sfic_bench.backbones.reference import check_reference, factory_of, is_reference
from sfic_bench.errors import InvalidValue, UnknownName

if TYPE_CHECKING:
    import torch
    from torch import nn

Factory = Callable[[int], "nn.Module"]

_FACTORIES: dict[str, str | Factory] = {}


def register(name: str, factory: str | Factory) -> None:
    """Add a vanilla network.

    Args:
        name: what `build` and the command line call it.
        factory: number of classes → module, or where it is found as ``"package.module:attribute"``.

    Raises:
        InvalidValue: if the name is taken.
    """
    if name in _FACTORIES:
        raise InvalidValue(f"backbone {name!r} is registered already: choose another name")
    _FACTORIES[name] = factory


def names() -> tuple[str, ...]:
    """All registered names, in the order of registration."""
    return tuple(_FACTORIES)


def check_name(name: str) -> None:
    """Raise `UnknownName`, with the nearest name, unless ``name`` is registered or a reference elsewhere.

    Raises:
        InvalidValue: for a reference that is not well formed.
    """
    if is_reference(name):
        check_reference(name)
    elif name not in _FACTORIES:
        raise UnknownName("backbone", name, _FACTORIES)


def build(name: str, *, classes: int = 2, device: "torch.device | str | None" = None) -> "nn.Module":
    """A new vanilla network, in training mode and with fresh weights, as its family initialises them.

    On ``device="meta"`` it has shapes only, and building takes milliseconds.

    Args:
        name: a registered name, ``timm:NAME``, ``torchvision:NAME`` or ``FILE.py:FUNCTION``.
        classes: number of logits; a function in a file gets it if it takes ``num_classes``.
        device: where the weights are made.

    Raises:
        UnknownName: for a name that is not registered, or that the library does not have.
        InvalidValue: for fewer than one class, or a reference that is not well formed.
        MissingDependency: for a reference to a library that is not installed.
    """
    check_name(name)
    if classes < 1:
        raise InvalidValue(f"classes must be at least 1, got {classes}")
    factory = factory_of(name) if is_reference(name) else _FACTORIES[name]
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        factory = getattr(import_module(module), attribute)
    from sfic_bench.placing import placed_on  # imports torch

    with placed_on(device):
        return factory(classes)


for _family, _names in {
    "alexnet": ("alexnet",),
    "densenet": ("densenet121",),
    "efficientnet": ("efficientnet_b0",),
    "mobilenet": ("mobilenet",),
    "resnet": ("resnet26", "resnet50", "resnet101", "resnet152"),
    "vgg": ("vgg13", "vgg16", "vgg19"),
}.items():
    for _name in _names:
        register(_name, f"sfic_bench.backbones.{_family}:{_name}")
