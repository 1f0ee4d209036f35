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


def draw_as_released(model: torch.nn.Module) -> None:
    """Draw the weights of every convolution anew, as the authors' released ResNets do.

    He's normal distribution for ReLUs, by fan-out (He et al., ICCV 2015). Each convolution of a stage has the fan of
    its own block. Biases and the classifier keep torch's first values, and so does MCSConv; BatchNorms begin with 1 and
    0. Torch's own first weights are 2.5 to 7 times smaller.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and not module.weight.is_meta:
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@contextmanager
def placed_on(device: torch.device | str | None) -> Iterator[None]:
    """Put modules that are built inside on ``device``; on ``meta`` they have shapes and no values."""
    if device is None:
        yield
        return
    with torch.device(device), Unfilled() if torch.device(device).type == "meta" else nullcontext():
        yield
