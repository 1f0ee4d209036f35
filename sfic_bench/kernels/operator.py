"""``sfic_bench::interactive_conv``: the operator for torch's compiler, exporter, autograd and FLOP counter."""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from sfic_bench.errors import InvalidValue
from sfic_bench.kernels.activation import Activation
from sfic_bench.kernels.launch import fits, lack, launch
from sfic_bench.kernels.workload import Operands, Workload
from sfic_bench.nn.split import Size, resize, size_of


def interactive_conv(
    own: Tensor,
    own_weight: Tensor,
    other: Tensor,
    other_weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    activation: Activation = Activation.NONE,
) -> Tensor:
    """``activation(conv(own) + resize(conv(other)) + bias + residual)``: one output of Stage 2, channels last.

    S' is ``interactive_conv(S, ss, F, fs)``, and F' is ``interactive_conv(F, ff, S, sf)``. Both convolutions have a
    stride of 1 and keep the size; the resize is torch's nearest-neighbour resize to the size of ``own``.

    Args:
        own: ``[B, c, H, W]``, the branch whose size the result has.
        own_weight: ``[outputs, c, kh, kw]``, kh and kw odd.
        other: ``[B, d, h, w]``, the other branch.
        other_weight: ``[outputs, d, kh, kw]``.
        bias: ``[outputs]``.
        residual: ``[B, outputs, H, W]``.
        activation: what is done last.

    Raises:
        InvalidValue: for shapes or number formats that do not fit together.
    """
    operands = Operands(own, own_weight, other, other_weight, bias, residual)
    if torch.amp.is_autocast_available(own.device.type) and torch.is_autocast_enabled(own.device.type):
        operands = operands.to(torch.get_autocast_dtype(own.device.type))
    _check(operands)
    result: Tensor = torch.ops.sfic_bench.interactive_conv(*operands, str(activation))
    return result


def _check(operands: Operands) -> None:
    own, own_weight, other, other_weight, bias, residual = operands
    for name, tensor in operands._asdict().items():
        if tensor is not None and (tensor.dtype != own.dtype or tensor.dim() != (1 if name == "bias" else 4)):
            axes = "one axis" if name == "bias" else "four axes"
            raise InvalidValue(
                f"{name} of interactive_conv must have {axes} and numbers in {own.dtype}, as own has, "
                f"got {list(tensor.shape)} in {tensor.dtype}"
            )
    kernel, outputs = size_of(own_weight), own_weight.shape[0]
    if kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
        raise InvalidValue(f"the kernel of interactive_conv must have odd height and width, got {kernel}")
    expected: dict[str, tuple[Tensor | None, Sequence[int]]] = {
        "own_weight": (own_weight, (outputs, own.shape[1], *kernel)),
        "other_weight": (other_weight, (outputs, other.shape[1], *kernel)),
        "other": (other, (own.shape[0], other.shape[1], *size_of(other))),
        "bias": (bias, (outputs,)),
        "residual": (residual, (own.shape[0], outputs, *size_of(own))),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise InvalidValue(f"{name} of interactive_conv must be {list(shape)}, got {list(tensor.shape)}")


SCHEMA = (
    "(Tensor own, Tensor own_weight, Tensor other, Tensor other_weight, Tensor? bias, Tensor? residual, "
    "str activation) -> Tensor"
)


@torch.library.custom_op("sfic_bench::interactive_conv", mutates_args=(), schema=SCHEMA)
def _operator(
    own: Tensor,
    own_weight: Tensor,
    other: Tensor,
    other_weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    activation: str,
) -> Tensor:
    operands = Operands(own, own_weight, other, other_weight, bias, residual)
    result = operands.empty_result()
    if not lack(own) and fits(operands, result):
        launch(result, operands, Activation(activation))
        return result
    return result.copy_(by_convolutions(operands, Activation(activation)))


@_operator.register_fake
def _fake(own: Tensor, own_weight: Tensor, other: Tensor, other_weight: Tensor, *_: object) -> Tensor:
    return Operands(own, own_weight, other, other_weight).empty_result()


def by_convolutions(operands: Operands, activation: Activation) -> Tensor:
    """The same result by torch's own convolutions. Where the resize keeps every r-th pixel, they have a stride of r."""
    own, own_weight, other, other_weight, bias, residual = operands
    padding, size = _padding(own_weight), size_of(own)
    terms = []
    if other.shape[1]:
        stride = _stride(size_of(other), size)
        terms.append(resize(F.conv2d(other, other_weight, None, stride, padding), size))
    if own.shape[1]:
        terms.append(F.conv2d(own, own_weight, None, 1, padding))
    total = sum(terms[1:], terms[0]) if terms else own.new_zeros(len(own), len(own_weight), *size)
    if bias is not None:
        total = total + bias[:, None, None]
    return activation.of(total if residual is None else total + residual)


def _padding(weight: Tensor) -> Size:
    height, width = size_of(weight)
    return height // 2, width // 2


def _stride(size: Size, target: Size) -> Size:
    """The stride of a convolution from ``size`` to ``target``; 1 where the ratio is no integer."""
    if size[0] % target[0] or size[1] % target[1]:
        return 1, 1
    return size[0] // target[0], size[1] // target[1]


class _Context(Protocol):
    """What torch keeps from the forward to the backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    activation: Activation

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


def _save(ctx: _Context, inputs: tuple[*tuple[Tensor | None, ...], str], output: Tensor) -> None:  # noqa: ARG001
    *tensors, activation = inputs
    ctx.save_for_backward(*tensors)
    ctx.activation = Activation(activation)


def _gradients(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients, from the inputs alone: the sum in front of an activation is computed again."""
    operands, needed = Operands(*ctx.saved_tensors), ctx.needs_input_grad
    own, own_weight, other, other_weight = operands[:4]
    if ctx.activation is not Activation.NONE:
        gradient = ctx.activation.gradient(gradient, interactive_conv(*operands))
    stride = _stride(size_of(other), size_of(own))
    # What is enlarged, or reduced by no integer, is resized behind a convolution without a stride.
    resized = gradient
    if other.shape[1] and stride == (1, 1) and size_of(other) != size_of(own):
        unresized = [len(own), len(own_weight), *size_of(other)]
        resized = torch.ops.aten.upsample_nearest2d_backward(gradient, list(size_of(own)), unresized)
    of_own = _of_convolution(gradient, own, own_weight, (1, 1), needed[0], needed[1])
    of_other = _of_convolution(resized, other, other_weight, stride, needed[2], needed[3])
    of_bias = gradient.sum((0, 2, 3)) if needed[4] else None
    return *of_own, *of_other, of_bias, gradient if needed[5] else None, None


def _of_convolution(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Size, of_x: bool, of_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of a convolution's input and weight."""
    if not x.shape[1]:
        return torch.zeros_like(x), torch.zeros_like(weight)
    padding, one, none = list(_padding(weight)), [1, 1], [0, 0]
    of_x_and_weight: tuple[Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, list(stride), padding, one, False, none, 1, [of_x, of_weight, False]
    )[:2]
    return of_x_and_weight


_operator.register_autograd(_gradients, setup_context=_save)


@register_flop_formula(torch.ops.sfic_bench.interactive_conv)
def _flops(own: Sequence[int], own_weight: Sequence[int], other: Sequence[int], *_: object, **__: object) -> int:
    """FLOPs from shapes: two for each multiply-add."""
    return 2 * Workload.of_shapes(own, own_weight, other).macs
