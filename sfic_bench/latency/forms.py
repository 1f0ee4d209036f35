"""What is run: a network or a single layer with its inputs, as the paper draws it and fused."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.conditions import Conditions
from sfic_bench.convert import cheaper
from sfic_bench.errors import InvalidValue
from sfic_bench.measure import MAKERS, tensors_of
from sfic_bench.nn import Pair, Split, Stage2, scaled_size
from sfic_bench.spec import Layer, Variant

TOLERANCE = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 2e-1}
"""Largest error of an output, over the largest value of the float64 reference, that still counts as right."""

GRADIENT_TOLERANCE = 0.1
"""Largest norm of the error of all gradients together, over the norm of the reference's.

A rounding error turns some ReLUs over and BatchNorms pass that on to the whole batch, by chance: the
gradients of a vanilla ResNet-26 in float32 are off by 0.003% or by 1.2% (batch 4), and more in fewer
bits. So a path may also be off by `ROUNDING_FACTOR` times what the reference itself is in its format.
"""

ROUNDING_FACTOR = 3.0

INPUT = "input "
"""What the gradients of inputs are named by, with a number behind; no parameter's name has a blank."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A module and the inputs to call it with. Inputs that require a gradient get one in training."""

    module: nn.Module
    inputs: tuple[Tensor, ...]

    def placed(self, device: torch.device, dtype: torch.dtype, memory_format: torch.memory_format) -> "Form":
        """The same function with weights and inputs of its own on ``device``."""
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
            return _layer(what, conditions).placed(device, torch.float32, torch.contiguous_format)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Of one call, in float64: the outputs, and every gradient in training."""

    outputs: tuple[Tensor, ...]
    gradients: dict[str, Tensor]


def outcome(run: Any, form: Form, training: bool) -> Outcome:
    """Call ``run``, made of ``form``, once."""
    outputs = _merged(tensors_of(run()))
    return Outcome(
        outputs=tuple(t.detach().double() for t in outputs),
        gradients=_gradients(form) if training else {},
    )


def expected(form: Form, conditions: Conditions) -> Outcome:
    """What ``form`` computes in float64.

    Raises:
        InvalidValue: if its BatchNorms cannot take a training step on so small an input.
    """
    exact = form.placed(conditions.torch_device, torch.float64, torch.contiguous_format)
    try:
        run = MAKERS["eager"](exact.module, exact.inputs, conditions.training).run
        found = outcome(run, exact, conditions.training)
    except ValueError as error:
        shape = "×".join(map(str, form.inputs[0].shape))
        raise InvalidValue(
            f"no training step on {shape} is possible, use a larger batch or input: {error}"
        ) from error
    # A fused form's state dict holds buffers too, and those of norms move with every call.
    asked = {name for name, _ in form.module.named_parameters()}
    gradients = {n: g for n, g in found.gradients.items() if n in asked or n.startswith(INPUT)}
    return replace(found, gradients=gradients)


def rounding(form: Form, wanted: Outcome, conditions: Conditions) -> float:
    """The error of gradients that the number format alone causes: of ``form`` itself, eager."""
    rounded = form.placed(conditions.torch_device, conditions.torch_dtype, torch.contiguous_format)
    run = MAKERS["eager"](rounded.module, rounded.inputs, conditions.training).run
    return errors(outcome(run, rounded, conditions.training), wanted)[1]


def errors(found: Outcome, wanted: Outcome) -> tuple[float, float]:
    """The largest absolute error of an output, and the norm of all gradients' error over theirs."""
    output = max(float((a - b).abs().max()) for a, b in zip(found.outputs, wanted.outputs, strict=True))
    if not wanted.gradients:
        return output, 0.0
    wrong, whole = (
        sum(float(t.square().sum()) for t in tensors) ** 0.5
        for tensors in (
            [found.gradients[n] - g for n, g in wanted.gradients.items()],
            list(wanted.gradients.values()),
        )
    )
    return output, wrong / whole


def _merged(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """S and F as the one tensor that a joined form has, where they are equally large."""
    if len(tensors) == 2 and tensors[0].shape[2:] == tensors[1].shape[2:]:
        return (torch.cat(tensors, 1),)
    return tensors


def _gradients(form: Form) -> dict[str, Tensor]:
    """By the unfused network's names, which a fused one's state dict has too."""
    twin = copy.deepcopy(form.module)
    for own, source in zip(twin.parameters(), form.module.parameters(), strict=True):
        own.data = torch.zeros_like(source) if source.grad is None else source.grad
    inputs = _merged(tuple(x.grad for x in form.inputs if x.grad is not None and x.numel()))
    found = twin.state_dict() | {f"{INPUT}{i}": x for i, x in enumerate(inputs)}
    return {name: t.double() for name, t in found.items()}


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
