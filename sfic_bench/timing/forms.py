"""A network or a single layer with inputs to call it with, as the paper draws it and fused."""

import copy
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.choices import Initialisation, Kernels
from sfic_bench.convert import cheaper
from sfic_bench.measure.conditions import Conditions, MemoryLayout
from sfic_bench.measure.devices import MEMORY_FORMATS
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.nn import Pair, Split, Stage2, scaled_size


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A module and the inputs to call it with. Inputs that require a gradient get one in training."""

    module: nn.Module
    inputs: tuple[Tensor, ...]

    def placed(
        self, device: torch.device, dtype: torch.dtype, layout: MemoryLayout = MemoryLayout.CONTIGUOUS
    ) -> "Form":
        """A copy with weights and inputs of its own on ``device``."""
        memory_format = MEMORY_FORMATS[layout]
        module = copy.deepcopy(self.module).to(device, dtype).to(memory_format=memory_format)  # type: ignore[call-overload]
        inputs = tuple(
            x.detach().to(device=device, dtype=dtype, memory_format=memory_format).requires_grad_(x.requires_grad)
            for x in self.inputs
        )
        return replace(self, module=module, inputs=inputs)


class SingleLayer(nn.Module):
    """A layer as a network of its own, whose inputs are S and F or the one tensor that joins them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> object:
        return self.layer(inputs[0] if len(inputs) == 1 else Pair(*inputs))


def least_bytes(network: Variant | Stage2Layer, conditions: Conditions) -> int:
    """The least memory that checking ``network`` against its float64 reference takes, in bytes."""
    images, size = conditions.batch_size, conditions.input_size
    if isinstance(network, Stage2Layer):
        return 8 * network.channels * (network.channels * network.kernel_size**2 + 2 * images * size**2)
    return _vanilla_bytes(network.backbone, images, size)


@lru_cache(maxsize=1)  # all forms of one backbone follow one another
def _vanilla_bytes(backbone: str, images: int, size: int) -> int:
    (costed,) = api.costs([Variant(backbone=backbone)], input_size=size)
    return costed.cost.least_bytes(8, images=images)


def drawn(network: Variant | Stage2Layer, conditions: Conditions) -> Form:
    """``network`` as the paper draws it, in float32, with random weights and inputs (seed 0), and without dropout.

    The first weights are torch's, which no time depends on. The released ones of depthwise convolutions are so small
    that on a small input rounding errors in 16 bits are as large as the result.
    """
    device = torch.device(conditions.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(network, Stage2Layer):
            return _layer(network, conditions).placed(device, torch.float32)
        shape = (conditions.batch_size, 3, conditions.input_size, conditions.input_size)
        model = api.build(
            network.backbone, alpha=network.alpha, beta=network.beta, on_unsupported=network.on_unsupported,
            initialisation=Initialisation.TORCH, input_size=conditions.input_size,
        ).to(device)  # fmt: skip
        for m in model.modules():
            if isinstance(m, nn.Dropout):  # a step that drops at random could not be checked
                m.p = 0.0
        _calibrate(model, torch.randn(max(2, shape[0]), *shape[1:]).to(device))
        return Form(module=model.train(conditions.training), inputs=(torch.randn(shape).to(device),))


def fused(network: Variant | Stage2Layer, form: Form, conditions: Conditions, kernels: Kernels = Kernels.NONE) -> Form:
    """The fused form of ``form``, which `drawn` made of ``network``; for ``kernels`` see `sfic_bench.fuse`."""
    if isinstance(network, Variant):
        module = api.fuse(form.module, conditions.training, input_size=conditions.input_size, kernels=kernels)
        return Form(module=module, inputs=form.inputs)
    if network.is_vanilla:
        return form
    assert isinstance(form.module, SingleLayer)
    s, f = form.inputs
    joined = s.shape[2:] == f.shape[2:] or not f.shape[1]
    inputs = (torch.cat((s, f), 1) if f.shape[1] else s,) if joined else (s, f)
    return Form(
        module=SingleLayer(cheaper(form.module.layer, joined=joined, kernels=kernels)),
        inputs=tuple(x.detach().requires_grad_(s.requires_grad) for x in inputs),
    )


def _layer(layer: Stage2Layer, conditions: Conditions) -> Form:
    channels, kernel_size, size = layer.channels, layer.kernel_size, conditions.input_size
    shapes: list[tuple[int, ...]] = [(channels, size, size)]
    module: nn.Module = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
    if layer.alpha is not None and layer.beta is not None:
        split = Split.of(channels, layer.alpha)
        module = SingleLayer(Stage2(split, split, kernel_size, padding=kernel_size // 2, bias=False))
        shapes = [(split.spatial, size, size), (split.frequency, *scaled_size((size, size), layer.beta))]
    inputs = (torch.randn(conditions.batch_size, *shape) for shape in shapes)
    # In a network a layer also passes a gradient on to the layer before it.
    return Form(
        module=module.train(conditions.training),
        inputs=tuple(x.requires_grad_(conditions.training) for x in inputs),
    )


def _calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Give BatchNorms the statistics of ``inputs``, a batch of at least two.

    With fresh statistics signals vanish or explode on their way through the network, and their errors mean nothing.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model.train()(inputs)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
