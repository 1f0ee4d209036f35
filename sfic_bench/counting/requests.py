"""A call of a torch function as its shape rule sees it, and what it does, which is found out once for equal calls."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import CountedCall, Effect, ShapeRule

TorchFunction = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Sized:
    """What may stand for a tensor in a request."""

    shape: Shape

    def __len__(self) -> int:
        return self.shape[0]


class Request(NamedTuple):
    """A call of ``function``, which ``rule`` describes if there is one.

    ``module`` and ``parents`` say which module makes the call, see `CountedCall`.
    """

    function: TorchFunction
    rule: ShapeRule | None
    module: str
    parents: int
    args: tuple[object, ...]
    kwargs: Mapping[str, object]

    def key(self, tensors: list[Tensor]) -> tuple[Hashable, ...]:
        """What tells it from other requests: of tensors only the shape. Adds the tensors to ``tensors``."""
        function, _, module, parents, args, kwargs = self
        return (function, module, parents, _scan(args, tensors), *kwargs, _scan(kwargs.values(), tensors))

    def answer(self, tensors: list[Tensor]) -> CountedCall:
        """What the call does, by its rule. Adds the tensors among its arguments to ``tensors``.

        Raises:
            InvalidValue: as the rule does.
        """
        key = self.key(tensors)
        call = _calls.get(key)
        if call is None:
            assert self.rule is not None
            call = _calls[key] = self.counted(self.rule(*self.args, **self.kwargs))
        return call

    def counted(self, effect: Effect) -> CountedCall:
        """The call, which has this effect."""
        in_functional = getattr(self.function, "__module__", None) in _FUNCTIONAL
        return CountedCall(**vars(effect), module=self.module, parents=self.parents, in_functional=in_functional)


_calls: dict[tuple[Hashable, ...], CountedCall] = {}
"""All calls that this process has recorded, by function, module class and arguments, tensors as shapes."""

_FUNCTIONAL = ("torch.nn.functional", "torch._C._nn")

PLAIN = frozenset((int, bool, float, str, type(None)))
"""The types of most arguments that are no tensors; nothing lies in their values."""


def _scan(values: Iterable[object], tensors: list[Tensor]) -> tuple[Hashable, ...]:
    """What a rule sees of ``values``, as a hashable key: of tensors only the shape. Adds the tensors to ``tensors``."""
    key: list[Hashable] = []
    for v in values:
        kind = type(v)
        if kind in PLAIN:  # most arguments; asking whether they are tensors takes longer
            key.append(v)
        elif isinstance(v, Sized):
            key.append(v.shape)
        elif isinstance(v, Tensor):
            tensors.append(v)
            key.append(v.shape)
        elif isinstance(v, (list, tuple)):
            key.append(_scan(v, tensors))
        else:
            key.append(v)
    return tuple(key)
