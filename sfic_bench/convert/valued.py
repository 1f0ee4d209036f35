"""Proxies of torch.fx that also know the value which they have for one input, as far as it follows from sizes alone."""

import operator
import sys
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from math import ceil, floor, trunc
from types import FrameType
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor, fx

from sfic_bench.convert.plain_tracer import Function

if TYPE_CHECKING:
    from sfic_bench.convert.valued_tracer import ValuedTracer


@dataclass(frozen=True, slots=True)
class Unknown:
    """The value of what takes the values of a tensor to compute, such as the ``source``."""

    source: str


Place = tuple[int, int]
"""An instruction of Python code: the frame that runs it, and where in the code it is."""


def _place(frame: FrameType) -> Place:
    return id(frame), frame.f_lasti


class AsksForValues(Exception):
    """A network's code asks for the values of a tensor, which only a real input has."""


class Valued(fx.Proxy):
    """A proxy with a value. A condition, an index, an iteration or a length is answered by the value.

    To the network's code it looks like its value: `isinstance` and `hasattr` say so.
    """

    tracer: "ValuedTracer"

    @property
    def value(self) -> object:
        return self.tracer.values[self.node]

    def for_code(self, place: Place | None = None) -> object:
        """The value, for code that goes by it; the graph will check that it is the same for other inputs.

        Raises:
            AsksForValues: if it is a tensor, or depends on the values of one.
        """
        value = self.value
        if isinstance(value, Tensor | Unknown):
            what = f" (of {value.source})" if isinstance(value, Unknown) else ""
            raise AsksForValues(f"its code asks for the values of a tensor{what}, which tracing does not have")
        self.tracer.take(self.node, value, place)
        return value

    @property  # type: ignore[misc]  # a read-only property is what `isinstance` needs
    def __class__(self) -> type:
        value = self.value
        return Valued if isinstance(value, Unknown) else type(value)

    def __getattr__(self, name: str) -> "ValuedAttribute":
        value = self.value
        if not isinstance(value, Unknown) and not hasattr(type(value), name) and name not in _own(value):
            raise AttributeError(f"{type(value).__name__!r} object has no attribute {name!r}")
        return ValuedAttribute(self, name)

    @classmethod
    def __torch_function__(
        cls,
        orig_method: Function,
        types: tuple[type, ...],
        args: tuple[object, ...] | None = None,
        kwargs: dict[str, object] | None = None,
    ) -> fx.Proxy:
        # To see what it is called with, torch asks a size for its value, and then passes the size itself on.
        place = _place(sys._getframe(1))
        for proxy in proxies_in((*(args or ()), *(kwargs or {}).values())):
            proxy.tracer.give_back(place)
        return super().__torch_function__(orig_method, types, args, kwargs)

    def _call(self, function: Function, *args: object) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, args, {})

    # What Python asks for, and takes as nothing but a bool, an int, a float or an iterator

    def __bool__(self) -> bool:
        return bool(self.for_code())

    def __int__(self) -> int:
        return int(cast(int, self.for_code()))

    def __float__(self) -> float:
        return float(cast(float, self.for_code()))

    def __index__(self) -> int:
        return operator.index(cast(int, self.for_code(_place(sys._getframe(1)))))

    def __array__(self, *_: object, **__: object) -> object:
        return np.asarray(self.for_code())

    def __len__(self) -> int:
        is_tensor = isinstance(self.value, Tensor)
        return operator.index(cast(int, self.symbolic_length)) if is_tensor else len(cast(Sized, self.for_code()))

    @property
    def symbolic_length(self) -> fx.Proxy:
        """The length of a tensor, as a symbol."""
        return self._call(operator.getitem, self.shape, 0)

    def __iter__(self) -> Iterator[fx.Proxy]:
        return (self._call(operator.getitem, self, i) for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return fx.Proxy.__repr__(self) if isinstance(self.value, Tensor | Unknown) else format(self.value, spec)

    def __setitem__(self, key: object, value: object) -> None:
        raise TypeError("its code assigns to a part of a tensor, which has no place in a graph: use torch.cat")

    # A table or a cache may have sizes as its keys. After tracing, what a cache still holds is equal to nothing.

    def __hash__(self) -> int:
        return id(self) if isinstance(self.value, Tensor | Unknown) else hash(self.value)

    def __eq__(self, other: object) -> fx.Proxy:  # type: ignore[override]  # as in torch.fx
        is_of_another = issubclass(type(other), Valued) and cast(Valued, other).tracer is not self.tracer
        return NotImplemented if is_of_another or not self.tracer.active else self._call(operator.eq, self, other)

    # What fx.Proxy lacks, and what can stay symbolic

    def __ceil__(self) -> fx.Proxy:
        return self._call(ceil, self)

    def __floor__(self) -> fx.Proxy:
        return self._call(floor, self)

    def __trunc__(self) -> fx.Proxy:
        return self._call(trunc, self)

    def __round__(self, digits: int | None = None) -> fx.Proxy:
        return self._call(round, self) if digits is None else self._call(round, self, digits)

    def __divmod__(self, other: object) -> tuple[fx.Proxy, fx.Proxy]:
        return self._call(operator.floordiv, self, other), self._call(operator.mod, self, other)

    def __rdivmod__(self, other: object) -> tuple[fx.Proxy, fx.Proxy]:
        return self._call(operator.floordiv, other, self), self._call(operator.mod, other, self)


class ValuedAttribute(fx.proxy.Attribute, Valued):
    """An attribute of a `Valued`; as in torch.fx, it becomes a node only where it is not just called as a method."""


def _own(value: object) -> Iterable[str]:
    return getattr(value, "__dict__", ())


def proxies_in(values: Iterable[object]) -> Iterator[Valued]:
    """The proxies among ``values``, also in lists, tuples and dictionaries."""
    for value in values:
        if issubclass(type(value), Valued):  # isinstance would also see what its value is
            yield cast(Valued, value)
        elif isinstance(value, list | tuple):
            yield from proxies_in(value)
        elif isinstance(value, dict):
            yield from proxies_in(value.values())
