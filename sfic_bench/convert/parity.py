"""Why an SFIC network does not have exactly as many parameters as its vanilla one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from sfic_bench.convert.blueprint import Blueprint
from sfic_bench.modules import modules_by_name, parameters_by_name
from sfic_bench.nn import MCSConv, Stage1
from sfic_bench.nn.computed import ComputedWeights
from sfic_bench.nn.stages import StageBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """``sfic − vanilla`` parameters as named terms.

    Attributes:
        vanilla, sfic: numbers of parameter elements.
        mcs: the kernels of MCSConv, 25 for each input channel of Stage 1.
        grouped_stage1: what Stage 1 adds where it splits a grouped convolution into fewer groups.
        conv_biases: biases that vanilla has and SFIC has not (negative).
    """

    vanilla: int
    sfic: int
    mcs: int
    grouped_stage1: int
    conv_biases: int

    @property
    def terms(self) -> dict[str, int]:
        """The terms that are not 0, by name."""
        terms = {"MCSConv": self.mcs, "grouped Stage 1": self.grouped_stage1, "convolution biases": self.conv_biases}
        return {name: term for name, term in terms.items() if term}

    @property
    def unexplained(self) -> int:
        """What no term accounts for; anything but 0 is a defect."""
        return self.sfic - self.vanilla - sum(self.terms.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """Numbers of parameter elements in one layer of an SFIC network.

    Attributes:
        biases: those of convolutions.
        stages: names of its stages, within the layer.
        first_stages: the same of those that are Stage 1 and have weights, with the elements of these.
    """

    total: int
    mcs: int
    biases: int
    stages: tuple[str, ...]
    first_stages: dict[str, int]

    @classmethod
    def of(cls, layer: nn.Module) -> "_Layer":
        modules = modules_by_name(layer)
        stages = {name: m for name, m in modules.items() if isinstance(m, StageBase)}
        convs = {
            name: [c for c in (m.spatial, m.frequency) if c is not None and c.weight is not None]
            for name, m in stages.items()
            if isinstance(m, Stage1)
        }
        own = {p for module in modules.values() for p in module._parameters.values() if p is not None}
        return cls(
            total=sum([p.numel() for p in own]),
            mcs=sum([m.weight.numel() for m in modules.values() if isinstance(m, MCSConv)]),
            biases=_biases(_convolutions(modules.values())),
            stages=tuple(stages),
            first_stages={name: sum(c.weight.numel() for c in parts) for name, parts in convs.items() if parts},
        )


class VanillaParameters:
    """What is compared of a vanilla network, found out once for all of its SFIC forms."""

    def __init__(self, network: nn.Module) -> None:
        self.modules = modules_by_name(network)
        self.total = sum([p.numel() for p in parameters_by_name(network).values()])
        self.biases = _biases(_convolutions(self.modules.values()))

    def weights_of(self, path: str) -> int:
        """How many weights the convolution or the linear layer at ``path`` has."""
        weight = self.modules[path].weight
        assert isinstance(weight, Tensor)
        return weight.numel()


def parity(vanilla: nn.Module | VanillaParameters, sfic: nn.Module | Blueprint) -> Parity:
    """Compare an SFIC network with the vanilla network that it was made from."""
    before = vanilla if isinstance(vanilla, VanillaParameters) else VanillaParameters(vanilla)
    layers = sfic.layers if isinstance(sfic, Blueprint) else {"": sfic}
    different = {layer: _Layer.of(layer) for layer in set(layers.values())}
    known = {path: different[layer] for path, layer in layers.items()}
    # A linear layer of a map has become a convolution.
    stages = (before.modules.get(_name(path, stage)) for path, layer in known.items() for stage in layer.stages)
    linears = [module for module in stages if isinstance(module, nn.Linear)]
    constants = sfic.modules.values() if isinstance(sfic, Blueprint) else ()
    return Parity(
        vanilla=before.total,
        sfic=sum(layer.total for layer in known.values())
        + sum(value.numel() for value in constants if isinstance(value, nn.Parameter)),
        mcs=sum(layer.mcs for layer in known.values()),
        grouped_stage1=sum(
            elements - before.weights_of(_name(path, stage))
            for path, layer in known.items()
            for stage, elements in layer.first_stages.items()
        ),
        conv_biases=sum(layer.biases for layer in known.values()) - before.biases - _biases(linears),
    )


def _name(path: str, inner: str) -> str:
    return ".".join(filter(None, (path, inner)))


def _convolutions(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """Convolutions, and what holds their biases where they are computed."""
    for m in modules:
        if isinstance(m, nn.Conv2d):
            yield m
        elif isinstance(m, ComputedWeights):
            yield m.source


def _biases(layers: Iterable[nn.Module]) -> int:
    biases = (layer._parameters.get("bias") for layer in layers)
    return sum(bias.numel() for bias in biases if bias is not None)
