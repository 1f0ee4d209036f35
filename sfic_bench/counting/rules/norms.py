"""Rules for normalisation, which keeps the shape."""

from torch import Tensor

from sfic_bench.counting.rules.effect import Effect, elements, shape_of


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *_: object,
    **__: object,
) -> Effect:
    """``batch_norm``, which reads its running statistics too."""
    return _norm("batch_norm", input, weight, bias, running_mean, running_var)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *_: object,
    **__: object,
) -> Effect:
    """``group_norm``."""
    return _norm("group_norm", input, weight, bias)


def layer_norm(
    input: Tensor,
    normalized_shape: object,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *_: object,
    **__: object,
) -> Effect:
    """``layer_norm``."""
    return _norm("layer_norm", input, weight, bias)


def _norm(kind: str, input: Tensor, weight: Tensor | None, *others: Tensor | None) -> Effect:
    x = shape_of(input)
    return Effect(kind, x, x, elements(input, weight, *others), bias=weight is not None)
