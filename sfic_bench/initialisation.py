"""Building modules on another device, on the meta device alone, or without initialising their weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FILLING = {name for name in dir(nn.init) if name.endswith("_")} | {"fill_", "zero_", "normal_", "uniform_"}
"""Names of torch's functions that fill a tensor with initial values."""

_MAKING = frozenset((torch.empty, torch.ones, torch.zeros))
"""Functions that make a tensor of a shape. Some have kernels for the meta device that are written in Python."""
_WITHOUT_EFFECT = frozenset(("device", "dtype"))
"""Arguments of these that are mostly not given, or ``None``."""
_MAKING_NOTHING = frozenset(("__get__", "_set_grad_enabled", "dim", "is_contiguous", "size"))
"""Names of what modules call most besides, to which a device means nothing."""


class Unfilled(TorchFunctionMode):
    """Leaves the weights of modules that are built inside uninitialised, for a caller that overwrites all of them.

    Filling weights takes most of the time of building a module. With ``on_meta``, new tensors lie on the meta device,
    where no device is named.
    """

    def __init__(self, *, on_meta: bool = False) -> None:
        super().__init__()
        self._on_meta = on_meta

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
        if self._on_meta and func in _MAKING and kwargs.keys() <= _WITHOUT_EFFECT and not any(kwargs.values()):
            shape = args[0] if len(args) == 1 and isinstance(args[0], tuple | list) else args
            return meta_tensor(tuple(shape), torch.get_default_dtype())  # type: ignore[arg-type]  # its sizes
        if not self._on_meta or func.__name__ in _MAKING_NOTHING:
            return func(*args, **kwargs)
        with torch.device("meta"):
            return func(*args, **kwargs)


@cache
def _on_meta(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # it outlives the mode of the caller
        return torch.empty(shape, dtype=dtype, device="meta")


def meta_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A new tensor on the meta device; a detached view of an old one takes a quarter of the time of a new one."""
    return _on_meta(shape, dtype).detach()


def draw_as_released(model: nn.Module) -> None:
    """Draw the weights of every convolution anew, as the authors' released ResNets do.

    He's normal distribution for ReLUs, by fan-out (He et al., ICCV 2015). Each convolution of a stage has the fan of
    its own block. Biases and the classifier keep torch's first values, and so does MCSConv; BatchNorms begin with 1 and
    0. Torch's own first weights are 2.5 to 7 times smaller.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@contextmanager
def placed_on(device: torch.device | str | None) -> Iterator[None]:
    """Put modules that are built inside on ``device``; on ``meta`` they have shapes and no values."""
    if device is None:
        yield
        return
    is_meta = torch.device(device).type == "meta"
    with Unfilled(on_meta=True) if is_meta else torch.device(device):
        yield
