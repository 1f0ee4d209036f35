"""A tracer of torch.fx whose proxies know their values for one input; see `sfic_bench.convert.tracing`."""

import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.node import Argument, Target
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from sfic_bench.convert.guard import same_way
from sfic_bench.convert.norms import treats_elements_alike
from sfic_bench.convert.plain_tracer import Function, PlainTracer
from sfic_bench.convert.symbolic import FACTORIES
from sfic_bench.convert.valued import Place, Unknown, Valued, proxies_in
from sfic_bench.nested import replaced


class ValuedTracer(PlainTracer):
    """A tracer that computes along what each node gives for ``image``, a batch on the meta device.

    Every argument of the network that has a default has it; each of the others is such a batch.

    Attributes:
        values: what each node of the graph gives so far; tensors lie on the meta device.
        active: whether it still traces.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image, self.active = image, True
        self.values: dict[fx.Node, object] = {}
        self._sizes: set[fx.Node] = set()
        self._checks: dict[fx.Node, fx.Node] = {}
        self._checked_at: dict[Place, list[fx.Node]] = {}
        self._computing = self._is_unsure = False

    def trace(self, root: nn.Module | Function, concrete_args: dict[str, object] | None = None) -> fx.Graph:
        try:
            graph = super().trace(root, concrete_args)
        finally:
            self.active = False
        graph._tracer_cls = PlainTracer  # a network that has been pickled is traced again
        return graph

    def _knows(self, module: nn.Module) -> bool:
        return super()._knows(module) or treats_elements_alike(module)

    def _symbolic_tensors(self, root: nn.Module | Function) -> Iterable[tuple[str, Tensor]]:
        buffers = root.named_buffers() if isinstance(root, nn.Module) else ()
        return (*super()._symbolic_tensors(root), *buffers)

    def create_args_for_root(self, root_fn: Function, *_: object, **__: object) -> tuple[Function, list[object]]:
        parameters = list(inspect.signature(root_fn).parameters.values())[1:]
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        needed = [p for p in positional if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        names, types = [p.name for p in needed or positional[:1]], root_fn.__annotations__
        inputs = (self.create_proxy("placeholder", name, (), {}, type_expr=types.get(name)) for name in names)
        return root_fn, [self.root, *inputs]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return Valued(node, self)

    def create_arg(self, a: object) -> Argument:
        return cast(fx.Proxy, a).node if issubclass(type(a), fx.Proxy) else super().create_arg(a)

    def create_proxy(
        self,
        kind: str,
        target: Target,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        name: str | None = None,
        type_expr: object = None,
        proxy_factory_fn: Callable[[fx.Node], fx.Proxy] | None = None,
    ) -> fx.Proxy:
        proxy = super().create_proxy(kind, target, args, kwargs, name, type_expr, proxy_factory_fn)
        self.values[proxy.node] = self._value(kind, target, args, kwargs)
        gives_size = target == "size" or (target is getattr and args[1] == "shape")
        is_arithmetic = kind == "call_function" and self._sizes.issuperset(
            p.node for p in proxies_in((*args, *kwargs.values()))
        )
        if gives_size or is_arithmetic:
            self._sizes.add(proxy.node)
        return proxy

    def take(self, node: fx.Node, value: object, place: Place | None) -> None:
        """Let the graph check the value of ``node``, if it is a number that follows from sizes.

        ``place`` is the instruction that has asked for it.
        """
        if node not in self._sizes:
            length = len(value) if isinstance(value, list | tuple) else 0
            self._is_unsure |= isinstance(value, int | float) or self._is_of_images(length)
        elif node not in self._checks and isinstance(value, int | float):
            images = "×".join(map(str, self.image.shape[1:]))
            self._checks[node] = self.create_node("call_function", same_way, (node, value, images), {})
            if place is not None:
                self._checked_at.setdefault(place, []).append(node)

    def give_back(self, place: Place) -> None:
        """Leave out the checks that the instruction at ``place`` has asked for."""
        for node in self._checked_at.pop(place, ()):
            self.graph.erase_node(self._checks.pop(node))

    def may_go_by_images(self) -> bool:
        """Whether the number of images in ``image``, which must be prime, may have decided what the code does.

        It has not if no length that the code went by is a multiple of it.
        """
        waiting, seen = list(self._checks), set[fx.Node]()
        while waiting:
            node = waiting.pop()
            seen.add(node)
            sources = [n for n in node.all_input_nodes if n in self._sizes]
            shapes = [self.values[n] for n in sources if node.target is not operator.getitem]
            if any(map(self._is_of_images, (self.values[node], *shapes))):
                return True
            waiting += [n for n in sources if n not in seen and not isinstance(self.values[n], tuple)]
        return self._is_unsure

    def _is_of_images(self, lengths: object) -> bool:
        """Whether one of ``lengths`` is a multiple of the number of images."""
        if isinstance(lengths, tuple):
            return any(map(self._is_of_images, lengths))
        return type(lengths) is int and lengths > 0 and lengths % len(self.image) == 0

    def call_module(
        self, m: nn.Module, forward: Function, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        is_made_here = m not in (self.submodule_paths or {}) and next(m.parameters(), None) is None
        if self._computing or is_made_here:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: object, parameter_proxy_cache: dict[str, fx.Proxy]) -> object:
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, kind: str, target: Target, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """What a node gives, or `Unknown`."""
        if kind == "placeholder":
            return self.image
        unknown = [p.value for p in proxies_in((*args, *kwargs.values())) if isinstance(p.value, Unknown)]
        if unknown:
            return unknown[0]
        self._computing = True
        try:
            with torch.no_grad(), _OnMeta():
                return self._called(kind, target)(*replaced(args, _value_of), **replaced(kwargs, _value_of))
        except (RuntimeError, NotImplementedError) as error:
            if "meta" not in str(error).lower():
                raise
            return Unknown(torch.typename(target) if callable(target) else f".{target}()")
        finally:
            self._computing = False

    def _called(self, kind: str, target: Target) -> Function:
        if callable(target):
            return target
        match kind:
            case "call_method":
                return lambda tensor, *args, **kwargs: getattr(tensor, target)(*args, **kwargs)
            case "call_module":
                module = self.root.get_submodule(target)
                # torch's batch norm without a momentum would read the number of batches.
                keeps_shape = type(module).forward is _BatchNorm.forward or module in self._known
                return torch.empty_like if keeps_shape else module
        return lambda: _on_meta(functools.reduce(getattr, target.split("."), self.root))


_FACTORIES = frozenset(getattr(torch, name) for name in FACTORIES.split())


class _OnMeta(TorchFunctionMode):
    """Runs every function of torch on the meta device, so that nothing is computed, read or changed."""

    def __torch_function__(
        self, func: Function, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        args, kwargs = replaced(args, _on_meta), replaced(kwargs or {}, _on_meta)
        if args and _is_like_first(func, *args):
            return torch.empty_like(cast(Tensor, args[0]))
        if func in _FACTORIES and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


_NORMS = frozenset((F.batch_norm, F.group_norm, F.layer_norm))
_ELEMENTWISE = (
    *("add", "sub", "mul", "div", "pow", "sqrt", "rsqrt", "sigmoid", "tanh", "relu", "relu6", "leaky_relu"),
    *("elu", "gelu", "silu", "mish", "hardswish", "hardsigmoid"),
)


def _is_like_first(func: Function, first: object, *others: object) -> bool:
    """Whether the result has the shape of the first argument: torch's meta kernels take a millisecond to say so."""
    if not isinstance(first, Tensor) or not first.is_floating_point():
        return False
    if func.__name__.rstrip("_") not in _ELEMENTWISE:
        return func in _NORMS
    return all(
        (v.shape, v.dtype) == (first.shape, first.dtype) if isinstance(v, Tensor) else isinstance(v, int | float | str)
        for v in others
    )


def _value_of(argument: object) -> object:
    return cast(Valued, argument).value if issubclass(type(argument), Valued) else argument


def _on_meta(value: object) -> object:
    is_real = isinstance(value, Tensor) and not value.is_meta
    return torch.empty_like(cast(Tensor, value), device="meta") if is_real else value
