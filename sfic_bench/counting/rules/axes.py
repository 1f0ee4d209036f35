"""Rules for operations that join tensors, select from them or reduce them along an axis."""

from collections.abc import Sequence
from math import prod

from torch import Tensor

from sfic_bench.counting.op import Effect, elements, shape_of
from sfic_bench.errors import InvalidValue


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, **_: object) -> Effect:
    """``cat``; ``axis`` is another name of ``dim``."""
    shapes = [shape_of(t) for t in tensors]
    first = shapes[0]
    place = (dim if axis is None else axis) % len(first)
    output = (*first[:place], sum(shape[place] for shape in shapes), *first[place + 1 :])
    return Effect("cat", first, output, elements(*tensors))


def stack(tensors: Sequence[Tensor], dim: int = 0, **_: object) -> Effect:
    """``stack``, which joins tensors along a new axis."""
    first = shape_of(tensors[0])
    place = dim % (len(first) + 1)
    return Effect("stack", first, (*first[:place], len(tensors), *first[place:]), elements(*tensors))


def index_select(input: Tensor, dim: int, index: Tensor) -> Effect:
    """``index_select``, which reads only what it selects."""
    x = shape_of(input)
    place = dim % len(x)
    output = (*x[:place], len(index), *x[place + 1 :])
    return Effect("index_select", x, output, prod(output))


def reduction(
    kind: str, input: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False, **_: object
) -> Effect:
    """``mean``, ``sum``, ``amax`` and others, which reduce all axes if no ``dim`` is given."""
    x = shape_of(input)
    axes = range(len(x)) if dim is None else (dim,) if isinstance(dim, int) else dim
    reduced = {axis % len(x) for axis in axes}
    kept = ((i, n) for i, n in enumerate(x) if keepdim or i not in reduced)
    return Effect(kind, x, tuple(1 if i in reduced else n for i, n in kept), prod(x))


def spread(
    kind: str,
    input: Tensor,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool = True,
    keepdim: bool = False,
    **_: object,
) -> Effect:
    """``std`` or ``var``; what stands in place of ``dim`` may be ``unbiased``."""
    return reduction(kind, input, None if isinstance(dim, bool) else dim, keepdim)


def norm_of_vector(
    kind: str,
    input: Tensor,
    order: object = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    **_: object,
) -> Effect:
    """``norm`` or ``linalg.vector_norm``."""
    return reduction(kind, input, dim, keepdim)


def one_hot(input: Tensor, num_classes: int = -1) -> Effect:
    """``one_hot``, which adds an axis of length ``num_classes``."""
    x = shape_of(input)
    if num_classes < 0:
        raise InvalidValue("one_hot without num_classes needs the values of a tensor")
    return Effect("one_hot", x, (*x, num_classes), prod(x))
