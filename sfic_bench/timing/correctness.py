"""Whether a path computes what the network means: asked before it is timed, so that nothing wrong gets a time.

The truth is the network as the paper draws it, in float64. A path in fewer bits is off from that by rounding alone,
and by how much depends on the network: a vanilla ResNet-50 in bfloat16 by a fifth to a third of its largest output,
a VGG-13 by 3%. So each network's own rounding error, of the network as drawn and eager, says how far another path
may be off, and what is to be sharper than that is asked in float32, of the same form of the network.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sfic_bench.errors import InvalidValue
from sfic_bench.measure.conditions import Conditions, NumberFormat
from sfic_bench.measure.devices import DTYPES, cuda_libraries
from sfic_bench.measure.execution import eager, tensors_of
from sfic_bench.timing.forms import Form

TOLERANCE = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 2e-1}
"""Largest error of an output, over the largest value of the float64 reference, that always counts as right."""

GRADIENT_TOLERANCE = 0.1
"""Largest norm of the error of all gradients together, over the norm of the reference's, that always counts as right.

A rounding error turns some ReLUs over and BatchNorms pass that on to the whole batch, by chance: the
gradients of a vanilla ResNet-26 in float32 are off by 0.003% or by 1.2% (batch 4), and more in fewer bits.
"""

ROUNDING_FACTOR = 3.0
"""How many times the rounding error of the network as drawn, eager and in the same number format, is right too."""

LIMIT = 0.9
"""No error may be larger than this share, whatever rounding does: a path that gives nothing but zeros is off by 1."""

NORM_FACTOR = 2.0
"""By how much the norm of all gradients may differ where rounding alone takes every likeness from them.

In bfloat16 the gradients of a vanilla ResNet-50 (batch 16, 224×224) are off by 1.2 times their norm, which itself is
off by 3%.
"""

NEGLIGIBLE = 1e-6
"""A gradient with less than this share of the norm of all may be 0: that of a bias in front of a BatchNorm is rounding alone."""

INPUT = "input "
"""What the gradients of inputs are named by, with a number behind; no parameter's name has a blank."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """How far an outcome is off.

    Attributes:
        output: the largest absolute error of an output.
        gradient: the norm of all gradients' error over the norm of the true ones; 0 in inference.
        norm: the norm of all gradients over the norm of the true ones; 1 in inference.
        lost: parameters and inputs whose gradient is 0 throughout, and should not be.
    """

    output: float
    gradient: float = 0.0
    norm: float = 1.0
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What a network computes, and how far off the network itself is in one number format.

    Attributes:
        outcome: of the network as drawn, in float64.
        rounding: errors of the network as drawn, eager, in the number format of ``conditions``.
        exact: errors of the same in float32.
    """

    conditions: Conditions
    outcome: Outcome
    rounding: Errors
    exact: Errors

    @classmethod
    def of(cls, form: Form, conditions: Conditions) -> "Truth":
        """Run ``form``, the network as drawn, in float64 and in the formats that paths are checked in.

        Raises:
            InvalidValue: if its BatchNorms cannot take a training step on so small an input.
        """
        wanted = _expected(form, conditions)
        exact = errors(run_eagerly(form, conditions, NumberFormat.FP32), wanted)
        low = conditions.dtype != "fp32"
        rounding = errors(run_eagerly(form, conditions, conditions.dtype), wanted) if low else exact
        return cls(conditions=conditions, outcome=wanted, rounding=rounding, exact=exact)

    def errors(self, found: Outcome) -> Errors:
        """How far ``found`` is off."""
        return errors(found, self.outcome)

    def complaint(self, found: Errors) -> str:
        """What is wrong with a path that is off by ``found``; ``""`` if nothing."""
        return self._complaint(found, self.rounding, self.conditions.dtype)

    def complaint_of_form(self, form: Form) -> str:
        """What is wrong with a form of the network in float32, eager; ``""`` if nothing.

        For conditions with fewer bits, in which a lost term could pass for rounding.
        """
        found = errors(run_eagerly(form, self.conditions, NumberFormat.FP32), self.outcome)
        said = self._complaint(found, self.exact, NumberFormat.FP32)
        return f"in float32 it {said}" if said else ""

    def _complaint(self, found: Errors, rounding: Errors, dtype: str) -> str:
        scale = max(float(t.abs().max()) for t in self.outcome.outputs)
        limit = min(max(TOLERANCE[dtype] * scale, ROUNDING_FACTOR * rounding.output), LIMIT * scale)
        if not found.output <= limit:  # NaN is wrong too
            return f"differs from the float64 reference by {found.output:.3g}, more than {limit:.3g}"
        lost = [name for name in found.lost if name not in rounding.lost]
        if lost:
            return f"has no gradient of {lost[0]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
        allowed = max(GRADIENT_TOLERANCE, ROUNDING_FACTOR * rounding.gradient)
        if allowed <= LIMIT and not found.gradient <= allowed:
            return f"has gradients that differ from the float64 reference's by {found.gradient:.2g} of their norm, more than {allowed:.2g}"
        if not 1 / NORM_FACTOR <= found.norm <= NORM_FACTOR:
            return f"has gradients with {found.norm:.2g} times the norm of the float64 reference's"
        return ""


def run_eagerly(form: Form, conditions: Conditions, dtype: NumberFormat) -> Outcome:
    """What ``form`` computes eagerly in the number format ``dtype``."""
    placed = form.placed(torch.device(conditions.device), DTYPES[dtype])
    with cuda_libraries(dtype):
        run = eager(placed.module, placed.inputs, conditions.training).run
        return outcome(run, placed, conditions.training)


def errors(found: Outcome, wanted: Outcome) -> Errors:
    """How far ``found`` is off from ``wanted``."""
    output = max(float((a - b).abs().max()) for a, b in zip(found.outputs, wanted.outputs, strict=True))
    if not wanted.gradients:
        return Errors(output=output)
    wrong, norm, whole = (
        sum(float(t.square().sum()) for t in tensors) ** 0.5
        for tensors in (
            [found.gradients[n] - g for n, g in wanted.gradients.items()],
            [found.gradients[n] for n in wanted.gradients],
            list(wanted.gradients.values()),
        )
    )
    lost = tuple(
        name
        for name, g in wanted.gradients.items()
        if float(g.norm()) > NEGLIGIBLE * whole and not found.gradients[name].any()
    )
    return Errors(output=output, gradient=wrong / whole, norm=norm / whole, lost=lost)


def _expected(form: Form, conditions: Conditions) -> Outcome:
    exact = form.placed(torch.device(conditions.device), torch.float64)
    try:
        run = eager(exact.module, exact.inputs, conditions.training).run
        found = outcome(run, exact, conditions.training)
    except ValueError as error:
        shape = "×".join(map(str, form.inputs[0].shape))
        raise InvalidValue(f"no training step on {shape} is possible, use a larger batch or input: {error}") from error
    # A fused form's state dict holds buffers too, and those of norms move with every call.
    asked = {name for name, _ in form.module.named_parameters()}
    gradients = {n: g for n, g in found.gradients.items() if n in asked or n.startswith(INPUT)}
    return Outcome(outputs=found.outputs, gradients=gradients)


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
