"""Why an SFIC network does not have exactly as many parameters as its vanilla one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

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


def parity(vanilla: nn.Module, sfic: nn.Module) -> Parity:
    """Compare an SFIC network with the vanilla network that it was made from."""
    grouped = 0
    for name, stage in sfic.named_modules():
        if isinstance(stage, Stage1):
            convs = [c for c in (stage.spatial, stage.frequency) if c is not None and c.weight is not None]
            if not convs:
                continue
            grouped += sum(c.weight.numel() for c in convs) - vanilla.get_parameter(f"{name}.weight").numel()
    return Parity(
        vanilla=sum(p.numel() for p in vanilla.parameters()),
        sfic=sum(p.numel() for p in sfic.parameters()),
        mcs=sum(m.weight.numel() for m in sfic.modules() if isinstance(m, MCSConv)),
        grouped_stage1=grouped,
        conv_biases=_dropped_biases(vanilla, sfic),
    )


def _dropped_biases(vanilla: nn.Module, sfic: nn.Module) -> int:
    """By how much the biases of convolutions differ; a linear layer of a map has become a convolution."""
    stages = {name for name, m in sfic.named_modules() if isinstance(m, StageBase)}
    linears = [m for name, m in vanilla.named_modules() if isinstance(m, nn.Linear) and name in stages]
    return _biases(_convolutions(sfic)) - _biases([*_convolutions(vanilla), *linears])


def _convolutions(model: nn.Module) -> Iterator[nn.Module]:
    """Convolutions, and what holds their biases where they are computed."""
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            yield m
        elif isinstance(m, ComputedWeights):
            yield m.source


def _biases(layers: Iterable[nn.Module]) -> int:
    biases = (layer._parameters.get("bias") for layer in layers)
    return sum(bias.numel() for bias in biases if bias is not None)
