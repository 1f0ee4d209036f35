"""Values in tuples, lists, dictionaries and slices, such as the arguments of a call."""

from collections.abc import Callable
from typing import TypeVar, cast

Nested = TypeVar("Nested")


def replaced(value: Nested, replace: Callable[[object], object]) -> Nested:
    """What ``replace`` gives for ``value``, or for what lies in it, in tuples, lists, dictionaries and slices."""
    result: object
    # The type itself, since isinstance would believe a tracer's proxy, which looks like its value.
    kind = type(value)
    if issubclass(kind, tuple):
        result = getattr(value, "_make", kind)([replaced(v, replace) for v in cast("tuple[object, ...]", value)])
    elif issubclass(kind, list):
        result = [replaced(v, replace) for v in cast("list[object]", value)]
    elif issubclass(kind, dict):
        result = {name: replaced(v, replace) for name, v in cast("dict[object, object]", value).items()}
    elif issubclass(kind, slice):
        parts = cast("slice[object, object, object]", value)
        result = slice(*(replaced(v, replace) for v in (parts.start, parts.stop, parts.step)))
    else:
        result = replace(value)
    return cast(Nested, result)
