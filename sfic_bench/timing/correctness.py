"""Whether a path computes what the network means, which is checked before it is timed: no wrong path gets a time.

The reference is the network as the paper draws it, in float64. A path in fewer bits differs from it by rounding, and
by how much depends on the network: a vanilla ResNet-50 in bfloat16 by a fifth to a third of its largest output, a
VGG-13 by 3%. So the rounding error of the network as drawn, run eagerly in the same number format, limits the error
of other paths. Errors that this limit would hide are looked for in float32, in the same form of the network. What
eight bits do is known from the quantised file, run operation by operation on rounded values in float32.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sfic_bench.errors import InvalidValue
from sfic_bench.measure.conditions import Conditions, NumberFormat
from sfic_bench.measure.devices import DTYPES, cuda_libraries
from sfic_bench.measure.execution import Output, eager, tensors_of
from sfic_bench.timing.forms import Form

TOLERANCE = {NumberFormat.FP32: 1e-3, NumberFormat.TF32: 2e-2, NumberFormat.FP16: 2e-2, NumberFormat.BF16: 2e-1}
"""Largest error of an output, over the largest value of the float64 reference, that is always accepted."""

INT8_TOLERANCE = 0.2
"""The same for a path in int8."""

GRADIENT_TOLERANCE = 0.1
"""Largest norm of the error of all gradients together, over the norm of the reference's, that is always accepted.

A rounding error changes the sign of some ReLUs' inputs, and BatchNorms pass that on to the whole batch, by chance: the
gradients of a vanilla ResNet-26 in float32 are wrong by 0.003% or by 1.2% (batch 4), and by more in fewer bits.
"""

ROUNDING_FACTOR = 3.0
"""Errors are accepted up to this many times the rounding error of the network as drawn, eager, in the same format."""

LIMIT = 0.9
"""No relative error above this is accepted, whatever rounding does, since an output of zeros has an error of 1."""

NORM_FACTOR = 2.0
"""By how much the norm of all gradients may differ if rounding alone makes them unlike the reference's.

In bfloat16 the gradients of a vanilla ResNet-50 (batch 16, 224×224) are wrong by 1.2 times their norm, while the norm
itself is wrong by 3%.
"""

NEGLIGIBLE = 1e-6
"""A gradient with less than this share of the norm of all may be 0, as that of a bias in front of a BatchNorm."""

CHECKED_TOGETHER = 16
"""Images that an eager inference takes at once for a check."""

INPUT = "input "
"""The beginning of the names of inputs' gradients, before their number; no parameter's name has a space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallResult:
    """The outputs of one call, and in training every gradient by name, in float64."""

    outputs: tuple[Tensor, ...]
    gradients: Mapping[str, Tensor]


def call_once(run: Callable[[], Output], form: Form, training: bool) -> CallResult:
    """The result of one call of ``run``, which was made of ``form``."""
    outputs = _joined(tensors_of(run()))
    return CallResult(
        outputs=tuple(t.detach().double() for t in outputs), gradients=_gradients(form) if training else {}
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """How far a result is from the expected one.

    Attributes:
        output: the largest absolute error of an output.
        gradient: the norm of all gradients' error over the norm of the expected ones; 0 in inference.
        norm: the norm of all gradients over the norm of the expected ones; 1 in inference.
        lost: parameters and inputs whose gradient is 0 throughout, and should not be.
    """

    output: float
    gradient: float = 0.0
    norm: float = 1.0
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What a network computes, and the error of the network itself in one number format.

    Attributes:
        expected: the result of the network as drawn, in float64.
        rounding: errors of the network as drawn, eager, in the number format of ``conditions``.
        exact: errors of the same in float32.
    """

    conditions: Conditions
    expected: CallResult
    rounding: Errors
    exact: Errors

    @classmethod
    def of(cls, form: Form, conditions: Conditions) -> "Truth":
        """Run ``form``, the network as drawn, in float64 and in the formats in which paths are checked.

        Raises:
            InvalidValue: if its BatchNorms cannot take a training step on so small an input.
        """
        expected = _expected(form, conditions)
        exact = _errors(run_eagerly(form, conditions, NumberFormat.FP32), expected)
        rounding = exact
        if conditions.dtype is not NumberFormat.FP32:
            rounding = _errors(run_eagerly(form, conditions, conditions.dtype), expected)
        return cls(conditions=conditions, expected=expected, rounding=rounding, exact=exact)

    def errors(self, result: CallResult) -> Errors:
        """How far ``result`` is from the expected one."""
        return _errors(result, self.expected)

    def complaint(self, errors: Errors, rounded: Tensor | None = None) -> str:
        """What is wrong with a path whose result has these ``errors``; ``""`` if nothing is.

        Args:
            errors: those of its result.
            rounded: the output with weights and activations in eight bits, if the path computes in them.
        """
        if rounded is None:
            return self._complaint(errors, self.rounding, TOLERANCE[self.conditions.dtype])
        rounding = self.errors(CallResult(outputs=(rounded.double(),), gradients={}))
        return self._complaint(errors, rounding, INT8_TOLERANCE)

    def complaint_of_form(self, form: Form) -> str:
        """What is wrong with a form of the network in float32, eager; ``""`` if nothing is.

        In formats with fewer bits a lost term could be mistaken for a rounding error.
        """
        errors = self.errors(run_eagerly(form, self.conditions, NumberFormat.FP32))
        complaint = self._complaint(errors, self.exact, TOLERANCE[NumberFormat.FP32])
        return f"in float32 it {complaint}" if complaint else ""

    def _complaint(self, errors: Errors, rounding: Errors, tolerance: float) -> str:
        scale = max(map(_largest, self.expected.outputs))
        limit = min(max(tolerance * scale, ROUNDING_FACTOR * rounding.output), LIMIT * scale)
        if not errors.output <= limit:  # NaN is wrong too
            return f"differs from the float64 reference by {errors.output:.3g}, more than {limit:.3g}"
        lost = [name for name in errors.lost if name not in rounding.lost]
        if lost:
            return f"has no gradient of {lost[0]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
        allowed = max(GRADIENT_TOLERANCE, ROUNDING_FACTOR * rounding.gradient)
        if allowed <= LIMIT and not errors.gradient <= allowed:
            return (
                f"has gradients that differ from the float64 reference's by {errors.gradient:.2g} of their norm, "
                f"more than {allowed:.2g}"
            )
        if not 1 / NORM_FACTOR <= errors.norm <= NORM_FACTOR:
            return f"has gradients with {errors.norm:.2g} times the norm of the float64 reference's"
        return ""


def run_eagerly(form: Form, conditions: Conditions, dtype: NumberFormat) -> CallResult:
    """What ``form`` computes eagerly in the number format ``dtype``."""
    with cuda_libraries(dtype):
        return _call_eagerly(form, conditions, DTYPES[dtype])


def _call_eagerly(form: Form, conditions: Conditions, dtype: torch.dtype) -> CallResult:
    placed = form.placed(torch.device(conditions.device), dtype)
    if conditions.training:  # BatchNorms tie the images of a batch together
        return call_once(eager(placed.module, placed.inputs, True).run, placed, True)
    # Few images at a time, so that the check takes little more memory than what is checked.
    slices = [
        call_once(eager(placed.module, images, False).run, placed, False).outputs
        for images in zip(*(torch.split(x, CHECKED_TOGETHER) for x in placed.inputs), strict=True)
    ]
    return CallResult(outputs=tuple(map(torch.cat, zip(*slices, strict=True))), gradients={})


def _errors(result: CallResult, expected: CallResult) -> Errors:
    output = max(_largest(a - b) for a, b in zip(result.outputs, expected.outputs, strict=True))
    if not expected.gradients:
        return Errors(output=output)
    gradients = {name: result.gradients[name] for name in expected.gradients}
    whole = _norm(expected.gradients.values())
    lost = tuple(
        name
        for name, gradient in expected.gradients.items()
        if float(gradient.norm()) > NEGLIGIBLE * whole and not gradients[name].any()
    )
    wrong = _norm(gradients[name] - gradient for name, gradient in expected.gradients.items())
    return Errors(output=output, gradient=wrong / whole, norm=_norm(gradients.values()) / whole, lost=lost)


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max())


def _norm(tensors: Iterable[Tensor]) -> float:
    """The norm of all ``tensors`` together."""
    return math.sqrt(sum(float(t.square().sum()) for t in tensors))


def _expected(form: Form, conditions: Conditions) -> CallResult:
    try:
        result = _call_eagerly(form, conditions, torch.float64)
    except ValueError as error:
        shape = "×".join(map(str, form.inputs[0].shape))
        raise InvalidValue(f"no training step on {shape} is possible, use a larger batch or input: {error}") from error
    # A fused form's state dict holds buffers too, and those of norms change with every call.
    parameters = {name for name, _ in form.module.named_parameters()}
    gradients = {n: g for n, g in result.gradients.items() if n in parameters or n.startswith(INPUT)}
    return CallResult(outputs=result.outputs, gradients=gradients)


def _joined(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """S and F as the one tensor that a joined form has, if they are equally large."""
    if len(tensors) == 2 and tensors[0].shape[2:] == tensors[1].shape[2:]:
        return (torch.cat(tensors, 1),)
    return tensors


def _gradients(form: Form) -> dict[str, Tensor]:
    """Gradients by the unfused network's names, which a fused one's state dict has too."""
    twin = copy.deepcopy(form.module)
    for own, source in zip(twin.parameters(), form.module.parameters(), strict=True):
        own.data = torch.zeros_like(source) if source.grad is None else source.grad
    inputs = _joined(tuple(x.grad for x in form.inputs if x.grad is not None and x.numel()))
    gradients = twin.state_dict() | {f"{INPUT}{i}": x for i, x in enumerate(inputs)}
    return {name: t.double() for name, t in gradients.items()}
