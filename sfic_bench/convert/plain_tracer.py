"""The tracer of torch.fx, which knows the module whose code stopped it."""

from collections.abc import Callable

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

WHOLE = (nn.Conv2d, _BatchNorm, nn.GroupNorm, nn.LayerNorm)
"""Classes whose subclasses stay one node, too: a norm with an activation is known by its base class."""

Function = Callable[..., object]


class PlainTracer(fx.Tracer):
    """A tracer of torch.fx to which a layer is one node, even where another library has made a subclass of it.

    Attributes:
        failed_at: the innermost module whose code could not be traced.
    """

    failed_at = ""

    def call_module(
        self, m: nn.Module, forward: Function, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_at = self.failed_at or self.path_of_module(m)
            raise

    def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
        return isinstance(m, WHOLE) or super().is_leaf_module(m, qualified_name)
