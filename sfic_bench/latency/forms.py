"""What is run: a network or a single layer with its inputs, as the paper draws it and fused."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.conditions import Conditions
from sfic_bench.convert import cheaper
from sfic_bench.nn import Pair, Split, Stage2, scaled_size
from sfic_bench.spec import Layer, Variant


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A module and the inputs to call it with. Inputs that require a gradient get one in training."""

    module: nn.Module
    inputs: tuple[Tensor, ...]

    def placed(self, device: torch.device, dtype: torch.dtype, channels_last: bool = False) -> "Form":
        """The same function with weights and inputs of its own on ``device``."""
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        module = copy.deepcopy(self.module).to(device, dtype).to(memory_format=memory_format)  # type: ignore[call-overload]
        inputs = tuple(
            x.detach()
            .to(device=device, dtype=dtype, memory_format=memory_format)
            .requires_grad_(x.requires_grad)
            for x in self.inputs
        )
        return replace(self, module=module, inputs=inputs)


class Alone(nn.Module):
    """A layer as a network of its own, whose inputs are S and F or the one tensor that joins them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Any:
        return self.layer(inputs[0] if len(inputs) == 1 else Pair(*inputs))


def drawn(what: Variant | Layer, conditions: Conditions) -> Form:
    """``what`` as the paper draws it, in float32, with random weights and inputs (seed 0), and nothing dropped."""
    device = conditions.torch_device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(what, Layer):
            return _layer(what, conditions).placed(device, torch.float32)
        shape = (conditions.batch_size, 3, conditions.input_size, conditions.input_size)
        model = api.build(
            what.backbone,
            alpha=what.alpha,
            beta=what.beta,
            on_unsupported=what.on_unsupported,
            input_size=conditions.input_size,
        ).to(device)
        for m in model.modules():
            if isinstance(m, nn.Dropout):  # no step could be checked that drops at random
                m.p = 0.0
        _calibrate(model, torch.randn(max(2, shape[0]), *shape[1:]).to(device))
        return Form(module=model.train(conditions.training), inputs=(torch.randn(shape).to(device),))


def fused(what: Variant | Layer, form: Form, conditions: Conditions) -> Form:
    """The cheaper form of what `drawn` gave."""
    if isinstance(what, Variant):
        return Form(module=api.fuse(form.module, for_training=conditions.training), inputs=form.inputs)
    if what.is_vanilla:
        return form
    assert isinstance(form.module, Alone)
    s, f = form.inputs
    joined = s.shape[2:] == f.shape[2:] or not f.shape[1]
    inputs = (torch.cat((s, f), 1) if f.shape[1] else s,) if joined else (s, f)
    return Form(
        module=Alone(cheaper(form.module.layer, joined=joined)),
        inputs=tuple(x.detach().requires_grad_(s.requires_grad) for x in inputs),
    )


def _layer(layer: Layer, conditions: Conditions) -> Form:
    channels, size = layer.channels, conditions.input_size
    geometry: dict[str, Any] = {"padding": layer.kernel_size // 2, "bias": False}
    shapes: list[tuple[int, ...]] = [(channels, size, size)]
    module: nn.Module = nn.Conv2d(channels, channels, layer.kernel_size, **geometry)
    if layer.alpha is not None and layer.beta is not None:
        split = Split.of(channels, layer.alpha)
        module = Alone(Stage2(split, split, layer.kernel_size, **geometry))
        shapes = [(split.spatial, size, size), (split.frequency, *scaled_size((size, size), layer.beta))]
    inputs = (torch.randn(conditions.batch_size, *shape) for shape in shapes)
    # In a network a layer also hands a gradient on to the layer before.
    return Form(
        module=module.train(conditions.training),
        inputs=tuple(x.requires_grad_(conditions.training) for x in inputs),
    )


def _calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Give BatchNorms the statistics of ``inputs`` (two at least), so that signals keep their size through the network.

    With fresh statistics they die out or explode, and no error in them means anything.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model.train()(inputs)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
