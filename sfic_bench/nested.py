"""Values in tuples, lists, dictionaries and slices, such as the arguments of a call."""

from collections.abc import Callable
from typing import TypeVar, cast

Nested = TypeVar("Nested")

_NESTING = (tuple, list, dict, slice)


def replaced(value: Nested, replace: Callable[[object], object]) -> Nested:
    """What ``replace`` gives for ``value``, or for what lies in it, in tuples, lists, dictionaries and slices."""
    # The type itself, since isinstance would believe a tracer's proxy, which looks like its value.
    kind = type(value)
    if not issubclass(kind, _NESTING):
        return cast(Nested, replace(value))
    result: object
    if issubclass(kind, tuple):
        result = getattr(value, "_make", kind)([replaced(v, replace) for v in cast("tuple[object, ...]", value)])
    elif issubclass(kind, list):
        result = [replaced(v, replace) for v in cast("list[object]", value)]
    elif issubclass(kind, dict):
        result = {name: replaced(v, replace) for name, v in cast("dict[object, object]", value).items()}
    else:
        parts = cast("slice[object, object, object]", value)
        result = slice(*(replaced(v, replace) for v in (parts.start, parts.stop, parts.step)))
    return cast(Nested, result)
