"""Which layer computes the same as another one for less, and what networks that are fused have in common."""

import copy
from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from sfic_bench.choices import Kernels
from sfic_bench.convert.conv_code import as_plain, is_plain
from sfic_bench.kernels import KernelStage2, takes
from sfic_bench.nn import PerBranch, Stage1, Stage2, Stage3
from sfic_bench.nn.adapters import Concatenate, Divide, Join, JoinedConcatenate, OnSlices, Pick, PickBranches
from sfic_bench.nn.computed import ComputedWeights, joined_block
from sfic_bench.nn.fused import Dense, JoinedNorm, ReducedStage1, ReducedStage2, join_norms
from sfic_bench.nn.grouped import GroupedStage2
from sfic_bench.nn.norms import SharedNorm
from sfic_bench.nn.stages import stages_in


def joins_pairs(layers: Iterable[nn.Module]) -> bool:
    """Whether every pair may be one tensor [S; F]: both branches are equally large, or there is no F."""
    stages = [stage for layer in set(layers) for stage in stages_in(layer)]
    first = [m for m in stages if isinstance(m, Stage1)]
    has_frequency = any(m.frequency for m in first) or any(m.sf or m.ff for m in stages if isinstance(m, Stage2))
    return all(m.beta == 1 for m in first) or not has_frequency


def cheaper(layer: nn.Module, *, joined: bool, share: bool = False, kernels: Kernels = Kernels.NONE) -> nn.Module:
    """A module that computes the same as ``layer`` for less, with weights of its own, or ``layer`` itself.

    With ``joined``, S and F are one tensor ``[S; F]`` wherever a pair would be; this needs β = 1, or no F. With
    ``share`` the module may use convolutions of ``layer`` instead of copies of them. ``kernels`` is as for `fuse`.
    """
    if isinstance(layer, ComputedWeights):
        return _with_cheaper_stage(layer, joined, kernels)
    if isinstance(layer, Stage1):
        return ReducedStage1(layer, joined, share)
    if joined:
        return _on_joined(layer)
    if not isinstance(layer, Stage2) or layer.sf is None:
        return layer
    return KernelStage2(layer) if kernels is Kernels.AUTO and takes(layer) else ReducedStage2(layer, share)


def with_parameters(module: nn.Module) -> nn.Module:
    """``module`` with the weight that it computes as a parameter, if it computes one."""
    computed = as_plain(module) if isinstance(module, nn.Conv2d) and not is_plain(module) else module
    return computed.with_parameters() if isinstance(computed, ComputedWeights) else module


def _with_cheaper_stage(layer: ComputedWeights, joined: bool, kernels: Kernels) -> ComputedWeights:
    shell = layer.shell()
    stage, blocks = cheaper(shell, joined=joined, kernels=kernels), layer.blocks
    if isinstance(stage, Dense):
        assert isinstance(shell, Stage2 | Stage3)
        blocks = {"": joined_block([[blocks[name] for name in row if name in blocks] for row in shell.blocks])}
    return ComputedWeights(copy.deepcopy(layer.source), stage, blocks)


def _on_joined(layer: nn.Module) -> nn.Module:
    """The module that stands for ``layer`` where pairs are joined, or ``layer`` itself."""
    match layer:
        case Stage2() | Stage3():
            return Dense(layer)
        case PerBranch() if any(isinstance(branch, _NormBase) for branch in branches_of(layer)):
            return join_norms(layer)
        case SharedNorm() if layer.formula.kind in JoinedNorm.KINDS:
            return JoinedNorm(layer)
        case SharedNorm():
            return OnSlices(copy.deepcopy(layer), layer.widths[0])
        case Divide() if layer.spatial.order == layer.frequency.order:
            return copy.deepcopy(layer.spatial)  # one channel that is for all, such as a gate over places
        case Divide():
            return Pick([*layer.spatial.order, *layer.frequency.order])
        case Join():
            return copy.deepcopy(layer.pick)
        case PickBranches():
            return Pick([*layer.spatial.order, *(layer.width + i for i in layer.frequency.order)])
        case Concatenate():
            return JoinedConcatenate(layer)
        case GroupedStage2():
            return OnSlices(copy.deepcopy(layer), layer.pick.width)
    return layer


def branches_of(module: nn.Module) -> tuple[object, ...]:
    """The layers of both branches, or the one layer that there is."""
    return (module.spatial, module.frequency) if isinstance(module, PerBranch) else (module,)
