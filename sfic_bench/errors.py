"""`SficBenchError`, the base class of errors that the caller can correct, and how they are worded.

Every message says what was expected, what was given and what to do. The command line prints such an error as one line
and exits with its ``exit_status``; any other error is a defect of this package and keeps its traceback.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar


class SficBenchError(Exception):
    """An input that cannot be used; the message says how to correct it."""

    exit_status = 2

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args), vars(self)  # a subclass makes its message of other arguments


def _again(kind: type[SficBenchError], args: tuple[object, ...]) -> SficBenchError:
    """An error that another process has sent."""
    return kind.__new__(kind, *args)


class InvalidValue(SficBenchError, ValueError):
    """A value outside its range, or two values that exclude each other."""


LARGEST = 2**20
"""The largest number of pixels on a side, of images, channels, classes and epochs that anybody may ask for."""


def check_count(what: str, count: int) -> None:
    """Raise `InvalidValue` unless ``count``, a number of something, lies between 1 and `LARGEST`."""
    if count < 1:
        raise InvalidValue(f"{what} must be at least 1, got {count}")
    if count > LARGEST:
        raise InvalidValue(f"{what} must be at most {LARGEST:,}, got {count}")


LISTED = 20
"""The most names that a message lists."""


class UnknownName(SficBenchError, LookupError):
    """A name that is not among the known ones; the message suggests the nearest.

    Args:
        what: the kind of thing that has the name.
        name: the unknown name.
        known: the names that exist.
        families: what to suggest for a name with a certain beginning, by that beginning in lower case, without hyphens.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], families: Mapping[str, str] | None = None) -> None:
        known = tuple(known)
        near = _nearest(name, known, families or {})
        hint = f"did you mean {near!r}? " if near else ""
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        super().__init__(f"unknown {what} {name!r}; {hint}known: {', '.join(known[:LISTED])}{more}")


def _nearest(name: str, known: Sequence[str], families: Mapping[str, str]) -> str | None:
    plain = name.lower().replace("-", "").replace("_", "")
    if beginnings := [beginning for beginning in families if plain.startswith(beginning)]:
        return families[max(beginnings, key=len)]
    for names in (known, list(families)):
        if near := get_close_matches(name, names, n=1):
            return families.get(near[0], near[0])
    return None


Choice = TypeVar("Choice", bound=StrEnum)


def member(choices: type[Choice], value: str, what: str) -> Choice:
    """The member of ``choices`` that has this ``value``.

    Raises:
        UnknownName: if there is none; the message calls the value a ``what`` and lists the choices.
    """
    try:
        return choices(value)
    except ValueError:
        raise UnknownName(what, value, [choice.value for choice in choices]) from None


class UnsupportedModel(SficBenchError):
    """A network, or a part of one, that a step cannot handle."""


def first_line(error: BaseException) -> str:
    """The first line of the message of ``error``, or the name of its type if there is no message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def chain(error: BaseException | None, *, suppressed: bool = False) -> Iterator[BaseException]:
    """``error``, the error that it was raised from or during, and so on.

    ``suppressed`` says whether those behind ``raise … from None`` count, too.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        hides = error.__suppress_context__ and not suppressed
        error = error.__cause__ or (None if hides else error.__context__)


class MissingDependency(SficBenchError, ImportError):
    """An optional package that is not installed; an ``ImportError``, so that tools that import modules pass it over."""
