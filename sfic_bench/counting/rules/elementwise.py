"""Rules for activations and for arithmetic on single elements."""

from math import prod

from torch import Tensor

from sfic_bench.counting import formulas
from sfic_bench.counting.rules.effect import Effect, ShapeRule, elements, shape_of


def unary(kind: str) -> ShapeRule:
    """The rule for a function of one tensor that keeps its shape."""

    def rule(input: Tensor, *_: object, **__: object) -> Effect:
        x = shape_of(input)
        return Effect(kind, x, x, prod(x))

    return rule


def prelu(input: Tensor, weight: Tensor) -> Effect:
    """``prelu``, whose slopes are a parameter."""
    x = shape_of(input)
    return Effect("prelu", x, x, elements(input, weight))


def binary(kind: str) -> ShapeRule:
    """The rule for arithmetic between two tensors, or a tensor and a number, with broadcasting."""

    def rule(input: Tensor | float, other: Tensor | float, **_: object) -> Effect:
        a, b = (() if isinstance(t, int | float) else shape_of(t) for t in (input, other))
        return Effect(kind, a or b, formulas.broadcast(a, b), prod(a) + prod(b))

    return rule
