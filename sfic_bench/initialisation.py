"""Building modules on another device, on the meta device alone, or without initialising their weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.overrides import TorchFunctionMode

_FILLING = {name for name in dir(torch.nn.init) if name.endswith("_")} | {"fill_", "zero_", "normal_", "uniform_"}
"""Names of torch's functions that fill a tensor with initial values."""


class Unfilled(TorchFunctionMode):
    """Leaves the weights of modules that are built inside uninitialised, for a caller that overwrites all of them.

    Filling weights takes most of the time of building a module, and on the meta device all of it.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func.__name__ in _FILLING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def placed_on(device: torch.device | str | None) -> Iterator[None]:
    """Put modules that are built inside on ``device``; on ``meta`` they have shapes and no values."""
    if device is None:
        yield
        return
    with torch.device(device), Unfilled() if torch.device(device).type == "meta" else nullcontext():
        yield
