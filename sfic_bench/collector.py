"""Python's collector of reference cycles, which looks through all of torch's objects each time that it runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MOST_AGED = 4_000_000
"""How many objects are called old before the collector looks through all. A fifth are garbage by then, some 100 MB."""

_aged = 0


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """The collector rests meanwhile; also as a decorator of a function that makes many objects and few cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def objects_called_old() -> Iterator[None]:
    """The collector rests meanwhile, and afterwards calls old what was made, instead of looking through it at once.

    Old objects wait until there are `MOST_AGED`, or until the collector by itself looks through all. So this is for
    code whose objects are small, and none of which holds a tensor with values.
    """
    with collector_at_rest():
        try:
            yield
        finally:
            _age()


def _age() -> None:
    global _aged
    if gc.get_freeze_count():  # somebody has taken objects away from the collector, which `unfreeze` would give back
        return
    _aged += gc.get_count()[0]
    if _aged > MOST_AGED:
        _aged = 0
        gc.collect()
    else:
        gc.freeze()
        gc.unfreeze()
