"""What a command tells while it works: where it stands, and what is finished so far."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from sfic_bench.training.loop import ProgressListener


class Advance(Protocol):
    """Moves progress on by a number of steps; ``now`` says what was just done."""

    def __call__(self, now: str, by: int = 1) -> None: ...


class Watcher:
    """Hears how a command's work goes on, and ignores it. Override what you want to hear."""

    def progress(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Work of ``total`` steps begins; what the context gives is called after each of them."""
        return nullcontext(_ignored)

    def training(self, title: str) -> "AbstractContextManager[ProgressListener | None]":
        """A training begins; what the context gives is called with its progress."""
        return nullcontext(None)

    def trained(self, title: str, number: int, count: int) -> None:
        """A network is trained and tested, as the ``number``-th of ``count``."""

    def keep(self, result: Struct) -> None:
        """Part of the work is finished, and ``result`` has all of it so far, so that an early end loses nothing."""


def _ignored(now: str, by: int = 1) -> None:
    pass


UNWATCHED = Watcher()
"""Hears nothing, shows nothing and keeps nothing."""
