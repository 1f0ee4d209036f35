"""The tracer of torch.fx, which knows the module whose code stopped it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, fx, nn
from torch.fx.node import Argument
from torch.nn.modules.batchnorm import _NormBase

from sfic_bench.convert.norms import known_norm
from sfic_bench.modules import modules_by_name, parameters_by_name

WHOLE = (nn.Conv2d, _NormBase)
"""Classes whose subclasses stay one node, too: a norm with an activation is known by its base class."""

Function = Callable[..., object]


class PlainTracer(fx.Tracer):
    """A tracer of torch.fx to which a layer is one node, even where another library has made a subclass of it.

    Attributes:
        failed_at: the innermost module whose code could not be traced.
    """

    failed_at = ""

    def trace(self, root: nn.Module | Function, concrete_args: dict[str, object] | None = None) -> fx.Graph:
        self._names = {id(tensor): name for name, tensor in self._symbolic_tensors(root)}
        modules = modules_by_name(root).values() if isinstance(root, nn.Module) else ()
        self._known = {module for module in modules if self._knows(module)}
        with _own_forward_as_its_class(root):
            return super().trace(root, concrete_args)

    def _knows(self, module: nn.Module) -> bool:
        """Whether ``module`` is one operation, whatever its code."""
        return known_norm(module) is not None

    def _symbolic_tensors(self, root: nn.Module | Function) -> Iterable[tuple[str, Tensor]]:
        """The tensors of ``root`` that become nodes where the network's code reads them, with their names."""
        return parameters_by_name(root).items() if isinstance(root, nn.Module) else ()

    def create_arg(self, a: object) -> Argument:
        # Most arguments are proxies, and torch.fx first asks what else they could be.
        return a.node if type(a) is fx.Proxy else super().create_arg(a)

    def getattr(self, _: str, attr_val: object, parameter_proxy_cache: dict[str, fx.Proxy]) -> object:
        # torch.fx would look through all parameters for each one that is read.
        name = self._names.get(id(attr_val))
        if name is None:
            return attr_val
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
        return parameter_proxy_cache[name]

    def call_module(
        self, m: nn.Module, forward: Function, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_at = self.failed_at or self.path_of_module(m)
            raise

    def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
        return isinstance(m, WHOLE) or m in self._known or super().is_leaf_module(m, qualified_name)


@contextmanager
def _own_forward_as_its_class(root: nn.Module | Function) -> Iterator[None]:
    """Let torch.fx, which looks into the class alone, find a ``forward`` that was set on the network itself."""
    own = getattr(vars(root).get("forward"), "__func__", None) if isinstance(root, nn.Module) else None
    if own is None:
        yield
        return
    kind = type(root)
    root.__class__ = type(kind.__name__, (kind,), {"forward": own})
    try:
        yield
    finally:
        root.__class__ = kind
