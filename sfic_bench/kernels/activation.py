"""The activations that the operator can apply to its result."""

from collections.abc import Callable, Mapping
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Activation(StrEnum):
    """What is done to each number of the result last."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    SILU = "silu"

    def of(self, x: Tensor) -> Tensor:
        """The activation of ``x``."""
        return _FUNCTIONS[self](x)

    def gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient of ``x`` from the ``gradient`` of the activation of ``x``."""
        return _GRADIENTS[self](gradient, x)

    @classmethod
    def made_by(cls, function: object) -> "Activation | None":
        """The activation that a module or a function of torch computes; ``None`` for others, subclasses among them."""
        key = type(function) if isinstance(function, nn.Module) else getattr(function, "__name__", "")
        return _NAMES.get(key)


_FUNCTIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    Activation.NONE: lambda x: x,
    Activation.RELU: F.relu,
    Activation.RELU6: F.relu6,
    Activation.SILU: F.silu,
}

_GRADIENTS: Mapping[Activation, Callable[[Tensor, Tensor], Tensor]] = {
    Activation.NONE: lambda gradient, _: gradient,
    Activation.RELU: lambda gradient, x: torch.ops.aten.threshold_backward(gradient, x, 0),
    Activation.RELU6: lambda gradient, x: torch.ops.aten.hardtanh_backward(gradient, x, 0.0, 6.0),
    # torch's own gradient of SiLU has no gradient.
    Activation.SILU: lambda gradient, x: gradient * x.sigmoid() * (1 + x * (1 - x.sigmoid())),
}

_NAMES: Mapping[object, Activation] = {
    nn.ReLU: Activation.RELU, nn.ReLU6: Activation.RELU6, nn.SiLU: Activation.SILU,
    "relu": Activation.RELU, "relu_": Activation.RELU, "relu6": Activation.RELU6, "silu": Activation.SILU,
}  # fmt: skip
