"""The one base class of errors that are the caller's to mend, and how they are worded.

Every message says what was expected, what came and what to do. The command line prints such an
error as one line and exits with its ``exit_status``; anything else is a defect of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SficBenchError(Exception):
    """An input that cannot be used, worded so that the caller can mend it."""

    exit_status = 2


class InvalidValue(SficBenchError, ValueError):
    """A value outside its range, or two values that do not go together."""


LISTED = 20
"""Known names that a message lists at most."""


class UnknownName(SficBenchError, LookupError):
    """A name that no registry has."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = tuple(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        super().__init__(f"unknown {what} {name!r}; {hint}known: {', '.join(known[:LISTED])}{more}")


class UnsupportedModel(SficBenchError):
    """A network, or a part of one, that a step cannot carry over."""


def first_line(error: BaseException) -> str:
    """What ``error`` says first; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class MissingDependency(SficBenchError):
    """An optional package that is not installed."""
