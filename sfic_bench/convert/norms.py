"""Norms over several channels: which of them a module computes, and the same norm on a pair.

Libraries have many classes for the same few norms. So a module is known by what it computes on a few random numbers,
whatever its class: a norm of a known kind, and behind it modules that treat every element by itself. Any other module
is unknown here, and is converted operation by operation or refused.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from sfic_bench.convert.layout import Layout
from sfic_bench.convert.prototypes import described
from sfic_bench.convert.weights import values_of
from sfic_bench.nn import Pair
from sfic_bench.nn.norms import Affine, NormFormula, SharedNorm

NAMES = ("weight", "bias")
"""A norm's own parameters, which have one number a channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownNorm:
    """A norm over several channels.

    Attributes:
        channels: how many there are.
        axis: where they lie in the input: 1, or −1 for the last axis.
    """

    formula: NormFormula
    channels: int
    axis: int


def known_norm(module: nn.Module | None) -> KnownNorm | None:
    """The norm over several channels that ``module`` computes; ``None`` if it is anything else.

    Only the module's own code runs, on a copy that has random weights on the CPU; the module itself is left alone.
    """
    channels = None if module is None else _channels(module)
    if module is None or channels is None:
        return None
    settings = (channels, *(getattr(module, name, None) for name in ("eps", "num_groups")))
    if module not in _KNOWN or _KNOWN[module][0] != settings:
        _KNOWN[module] = settings, _tried_once(module, channels)
    return _KNOWN[module][1]


_KNOWN: WeakKeyDictionary[nn.Module, tuple[object, KnownNorm | None]] = WeakKeyDictionary()
"""What has been found out about modules, with the settings that they had then."""


def treats_elements_alike(module: nn.Module) -> bool:
    """Whether a module of another library has no tensors and gives each element what it would give it anywhere else.

    So do activations, some of which are functions with derivatives of their own that cannot be traced.
    """
    if type(module).__module__.startswith("torch.") or next(module.children(), None) is not None:
        return False
    if any(True for _ in (*module.parameters(), *module.buffers())):
        return False
    if module not in _ALIKE:
        _ALIKE[module] = _treats_elements_alike(module, 2)
    return _ALIKE[module]


_ALIKE: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def shared_norm(norm: nn.Module, layout: Layout) -> SharedNorm:
    """The norm over channels ``norm`` as a module from a pair with ``layout`` to a pair, wherever its axis lies.

    Raises:
        ValueError: if ``norm`` is no known norm over channels, or over other channels than those of ``layout``.
    """
    known = known_norm(norm)
    if known is None:
        raise ValueError(f"{type(norm).__name__} is no known norm over channels")
    if known.channels != layout.total:
        raise ValueError(f"{type(norm).__name__} is over {known.channels} channels, and the pair has {layout.total}")
    spatial, frequency = (Affine(*(_dealt(getattr(norm, n, None), branch) for n in NAMES)) for branch in layout)
    behind = [(name, copy.deepcopy(child)) for name, child in norm.named_children()]
    return SharedNorm(known.formula, layout, (spatial, frequency), behind)


def _dealt(source: nn.Parameter | None, channels: Sequence[int]) -> nn.Parameter | None:
    """The values of ``channels``; ``None`` for a branch without channels."""
    if source is None or not channels:
        return None
    return nn.Parameter(values_of(channels, source), requires_grad=source.requires_grad)


_TORCHS = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Torch's own norms over several channels."""


def _channels(module: nn.Module) -> int | None:
    """How many channels ``module`` normalises, if it is a norm; ``None`` where it cannot be one over channels alone."""
    if type(module).__module__.startswith("torch.nn.modules") and not isinstance(module, _TORCHS):
        return None
    parameters = dict(module.named_parameters(recurse=False))
    is_other = isinstance(module, _NormBase | torch.jit.ScriptModule)
    if is_other or not isinstance(getattr(module, "eps", ""), float | int | None):
        return None
    if not parameters.keys() <= set(NAMES) or any(True for _ in module.buffers(recurse=False)):
        return None
    shape = getattr(module, "normalized_shape", None)
    if isinstance(shape, tuple | list):
        shape = shape[0] if len(shape) == 1 else 0
    counts = [getattr(module, "num_channels", None), shape, *(p.numel() for p in parameters.values())]
    channels = next((n for n in counts if isinstance(n, int)), 0)
    return channels if channels and all(p.shape == (channels,) for p in parameters.values()) else None


# How a norm is recognised


def _tried_once(module: nn.Module, channels: int) -> KnownNorm | None:
    """What ``module`` turns out to compute, tried once for all modules of one class with equal settings."""
    description = described(module, with_children=True)
    if description is None:
        return _tried(module, channels)
    if description not in _TRIED:
        _TRIED[description] = _tried(module, channels)
    return _TRIED[description]


_TRIED: dict[object, KnownNorm | None] = {}


def _tried(module: nn.Module, channels: int) -> KnownNorm | None:
    """What ``module`` turns out to compute."""
    if not all(_treats_elements_alike(child, channels) for child in module.children()):
        return None
    eps, generator = getattr(module, "eps", None), torch.Generator("cpu").manual_seed(0)
    # As small as the root of ε, so that it makes a difference where ε is added.
    x = (4 * _random((2, channels, 3, 4), generator) - 1) * math.sqrt(abs(eps or 1))
    tensors = {n: None if p is None else _random((channels,), generator) + 0.5 for n, p in module._parameters.items()}
    marks = {name: partial(_mark, i) for i, (name, _) in enumerate(module.named_children())}
    probe = copy.copy(module)
    vars(probe).update(_parameters={}, _modules={}, **tensors, **marks)
    affine = Affine(*(None if t is None else nn.Parameter(t) for t in map(tensors.get, NAMES)))
    for axis in (1, -1):
        computed = _computed(probe, x, axis)
        if computed is None:
            continue
        for formula in _formulas(module, channels):
            norm = SharedNorm(formula, (range(channels), ()), (affine, Affine()))
            with torch.no_grad():
                expected = norm(Pair(x, x[:, :0])).spatial
            for mark in marks.values():
                expected = mark(expected)
            if torch.allclose(computed, expected, rtol=1e-5, atol=1e-5):
                return KnownNorm(formula=formula, channels=channels, axis=axis)
    return None


def _formulas(module: nn.Module, channels: int) -> Iterator[NormFormula]:
    """All that a norm with the settings of ``module`` may compute."""
    eps, groups = getattr(module, "eps", None), getattr(module, "num_groups", 1)
    if isinstance(groups, int) and groups > 0 and channels % groups == 0:
        yield NormFormula(kind="group", groups=groups, eps=eps)
    yield NormFormula(kind="layer", eps=eps)
    yield NormFormula(kind="rms", eps=eps)
    if channels > 1:
        yield NormFormula(kind="simple", eps=eps)


def _computed(norm: nn.Module, x: Tensor, axis: int) -> Tensor | None:
    """What ``norm`` computes if the channels of ``x`` lie on ``axis``; ``None`` if it does not take such a tensor.

    It is ``None`` as well if the result in training is another one.
    """
    results = []
    try:
        for training in (True, False):
            norm.training = training
            with torch.no_grad():
                results.append(norm.forward(x.movedim(1, axis).contiguous()).movedim(axis, 1).double())
        is_known = results[0].shape == x.shape and torch.allclose(*results)
    except Exception:  # whatever its own code raises
        return None
    return results[0] if is_known else None


def _treats_elements_alike(module: nn.Module, channels: int) -> bool:
    """Whether ``module`` gives each element, in evaluation mode, what it would give it anywhere else."""
    if isinstance(module, nn.Identity):
        return True
    if any(p.numel() > 1 for p in module.parameters()):  # a network, or a number for each channel
        return False
    generator = torch.Generator("cpu").manual_seed(0)
    try:
        module = copy.deepcopy(module).to_empty(device="cpu").double().eval()
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.detach().fill_(0.3)
        x = _random((2, channels, 3, 4), generator) - 0.5
        order = torch.randperm(x.numel(), generator=generator, device="cpu")
        with torch.no_grad():
            moved = module(x.flatten()[order].view_as(x)).flatten()
            return bool(torch.allclose(moved, module(x.clone()).flatten()[order]))
    except Exception:  # whatever its own code raises
        return False


def _mark(number: int, x: Tensor) -> Tensor:
    """Stands for a module behind the norm, to see when it is called."""
    return x.sin() + number


def _random(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")
