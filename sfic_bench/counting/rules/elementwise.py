"""Rules for operations on single elements: activations, arithmetic and normalisation."""

from math import prod

from torch import Tensor

from sfic_bench.counting import formulas
from sfic_bench.counting.op import Effect, elements, shape_of


def unary(kind: str, input: Tensor, *_: object, **__: object) -> Effect:
    """A function of one tensor that keeps its shape."""
    x = shape_of(input)
    return Effect(kind, x, x, prod(x))


def prelu(input: Tensor, weight: Tensor) -> Effect:
    """``prelu``, whose slopes are a parameter."""
    x = shape_of(input)
    return Effect("prelu", x, x, elements(input, weight))


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Effect:
    """``_weight_norm``, whose result has the shape of ``v``."""
    x = shape_of(v)
    return Effect("weight_norm", x, x, elements(v, g))


def binary(kind: str, input: Tensor | float, other: Tensor | float, **_: object) -> Effect:
    """Arithmetic between two tensors, or a tensor and a number, with broadcasting."""
    a, b = (() if isinstance(t, int | float) else shape_of(t) for t in (input, other))
    return Effect(kind, a or b, formulas.broadcast(a, b), prod(a) + prod(b))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, **_: object) -> Effect:
    """``addcmul``, a product of two tensors plus a third, with broadcasting."""
    a, b, c = (shape_of(t) for t in (input, tensor1, tensor2))
    return Effect("addcmul", b, formulas.broadcast(a, formulas.broadcast(b, c)), prod(a) + prod(b) + prod(c))


def norm_with_statistics(
    kind: str,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    *_: object,
    **__: object,
) -> Effect:
    """``batch_norm`` or ``instance_norm``, which read their running statistics too.

    A BatchNorm that takes the statistics of its input, as weights are standardised, is a kind of its own.
    """
    kind = "batch_norm_of_input" if kind == "batch_norm" and training else kind
    return _norm(kind, input, weight, bias, running_mean, running_var)


def norm(
    kind: str,
    input: Tensor,
    groups_or_shape: object = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *_: object,
    **__: object,
) -> Effect:
    """``group_norm``, ``layer_norm`` or ``rms_norm``."""
    return _norm(kind, input, weight, bias)


def _norm(kind: str, input: Tensor, weight: Tensor | None, *other_tensors: Tensor | None) -> Effect:
    x = shape_of(input)
    return Effect(kind, x, x, elements(input, weight, *other_tensors), bias=weight is not None)
