"""Where and whether weights are made: building on the meta device, and without initialising."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FILLS = frozenset(name for name in dir(torch.nn.init) if name.endswith("_")) | {
    "fill_",
    "zero_",
    "normal_",
    "uniform_",
}


class _Unfilled(TorchFunctionMode):
    """Leaves out every in-place initialisation."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in _FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules made here have uninitialised weights, for a caller who overwrites every one of them.

    A random fill is most of the time that building takes, and on the meta device it is all of it.
    """
    with _Unfilled():
        yield


@contextmanager
def placed_on(device: torch.device | str | None) -> Iterator[None]:
    """Modules made here lie on ``device``; on ``meta`` they are shapes only."""
    if device is None:
        yield
    elif torch.device(device).type == "meta":
        with torch.device(device), unfilled():
            yield
    else:
        with torch.device(device):
            yield
