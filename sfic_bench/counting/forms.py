"""The form of a layer: what decides which torch functions it calls, besides the numbers of its channels.

Two layers of one form, called with maps of one height and width, call the same functions with the same options. Only
the shapes of the tensors differ, so that one recording serves both (see `sfic_bench.counting.programs`). A layer has
a form only if its class is listed here; any other layer is recorded by itself.
"""

from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter

from torch import nn

from sfic_bench.nn import MCSConv, PerBranch, Stage1, Stage2, Stage3
from sfic_bench.nn.adapters import Concatenate
from sfic_bench.nn.fused import Dense, ReducedStage1, ReducedStage2

_FUNCTIONS = frozenset(("_operator", "torch", "torch._C._nn", "torch.nn.functional"))
"""Modules whose functions treat all numbers of channels alike."""


def form_of(layer: object) -> Hashable | None:
    """The form of ``layer``, a module; of a function itself, ``None`` for what has no known form."""
    describe = _FORMS.get(type(layer))
    if describe is None:
        return layer if getattr(layer, "__module__", "") in _FUNCTIONS and callable(layer) else None
    assert isinstance(layer, nn.Module)
    if layer._forward_hooks or layer._forward_pre_hooks:
        return None
    facts = describe(layer)
    return None if facts is None else (type(layer), facts)


def _of_leaf(layer: nn.Module) -> Hashable:
    """Every setting of a layer without channels."""
    return tuple([value for value in vars(layer).values() if not isinstance(value, (dict, set))])


def _with(settings: Callable[[nn.Module], Hashable], *names: str) -> Callable[[nn.Module], Hashable | None]:
    """What gives the settings of a layer and the forms of its parts; ``None`` if one of these is unknown."""

    def of(layer: nn.Module) -> Hashable | None:
        forms = [settings(layer)]
        for name in names:
            part = getattr(layer, name)
            form = None if part is None else form_of(part)
            if form is None and part is not None:
                return None
            forms.append(form)
        return tuple(forms)

    return of


_SETTINGS = attrgetter("kernel_size", "stride", "padding", "dilation", "padding_mode")


def _of_convolution(conv: nn.Module) -> Hashable:
    """The settings of a convolution, whose groups are either as many as its inputs or a number."""
    assert isinstance(conv, nn.Conv2d)
    groups = "depthwise" if conv.groups == conv.in_channels != 1 else conv.groups
    return _SETTINGS(conv), groups, conv._parameters["bias"] is None


def _of_filter(layer: nn.Module) -> Hashable:
    """The mode of MCSConv, which is a depthwise convolution of its own."""
    assert isinstance(layer, MCSConv)
    return layer.mode, len(layer.weight) > 1


_FORMS: Mapping[type, Callable[[nn.Module], Hashable | None]] = {
    **dict.fromkeys((nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.Hardswish, nn.GELU, nn.Identity), _of_leaf),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), _of_leaf),
    nn.BatchNorm2d: attrgetter("eps", "momentum", "affine", "track_running_stats"),
    nn.Conv2d: _of_convolution,
    Dense: _with(lambda conv: (_of_convolution(conv), conv.geometry), "pool"),
    MCSConv: _of_filter,
    PerBranch: _with(lambda layer: layer.spatial is layer.frequency, "spatial", "frequency"),
    Concatenate: lambda _: (),
    Stage1: _with(attrgetter("geometry", "beta"), "pool", "mcs", "spatial", "frequency"),
    ReducedStage1: _with(attrgetter("geometry", "beta", "joined"), "pool", "mcs", "spatial", "frequency"),
    **dict.fromkeys((Stage2, ReducedStage2), _with(attrgetter("geometry"), "pool", "ss", "ff", "sf", "fs")),
    Stage3: _with(attrgetter("geometry"), "pool", "ss", "fs"),
}  # fmt: skip
