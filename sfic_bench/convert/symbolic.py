"""Functions that take sizes as plain numbers, so that they become nodes of the graph while a network is traced."""

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, _functorch, nn

from sfic_bench.convert.plain_tracer import Function
from sfic_bench.convert.valued import AsksForValues, Valued, proxies_in

FACTORIES = "arange as_tensor empty eye full linspace logspace ones rand randint randn randperm tensor zeros"
"""Functions of torch that may take sizes and no tensor, so that torch.fx does not see them."""


@contextmanager
def symbolic_functions(model: nn.Module) -> Iterator[None]:
    """Make torch's factories symbolic, and int, float, len, max and min in the Python modules that ``model`` is of."""
    factories = {name: _symbolic(getattr(torch, name)) for name in FACTORIES.split()}
    with ExitStack() as stack:
        stack.enter_context(_replaced(vars(torch), factories))
        stack.enter_context(_replaced(vars(_functorch.utils), {"unwrap_dead_wrappers": _without_proxies}))
        for namespace in _namespaces(model):
            # A module that has an `int` or a `max` of its own keeps it.
            own = {name: function for name, function in _BUILTINS.items() if name not in namespace}
            stack.enter_context(_replaced(namespace, own))
        yield


def _namespaces(model: nn.Module) -> list[dict[str, object]]:
    """The globals of every forward pass in ``model``, and of all in its Python packages, but torch and this one."""
    kinds = {type(module) for module in model.modules()}
    packages = {kind.__module__.partition(".")[0] for kind in kinds} - {"torch", "builtins", "sfic_bench"}
    found = [vars(module) for name, module in list(sys.modules.items()) if name.partition(".")[0] in packages]
    forwards = [kind.forward for kind in kinds if kind.__module__.partition(".")[0] != "torch"]
    found += [forward.__globals__ for forward in forwards if hasattr(forward, "__globals__")]
    return list({id(namespace): namespace for namespace in found}.values())


@contextmanager
def _replaced(namespace: dict[str, object], functions: Mapping[str, object]) -> Iterator[None]:
    before = {name: namespace[name] for name in functions if name in namespace}
    namespace.update(functions)
    try:
        yield
    finally:
        for name in functions.keys() - before.keys():
            namespace.pop(name, None)
        namespace.update(before)


def _symbolic(function: Function) -> Function:
    """``function``, which becomes a node of the graph if an argument is a proxy."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        proxy = next(proxies_in((*args, *kwargs.values())), None)
        if proxy is None or "key" in kwargs:  # max and min call a key
            return function(*args, **kwargs)
        return proxy.tracer.create_proxy("call_function", function, args, kwargs)

    return call


def _without_proxies(args: tuple[object, ...]) -> tuple[object, ...]:
    """What a `torch.autograd.Function` does first with its arguments; its C++ code would crash at a proxy.

    Raises:
        AsksForValues: if there is a proxy among them.
    """
    if next(proxies_in(args), None) is not None:
        raise AsksForValues(
            "its code calls a torch.autograd.Function, which tracing cannot look into; only a module without tensors "
            "that treats all elements alike may do so"
        )
    return args  # of the meta device, on which no transform has wrapped anything


def _length(value: Valued | list[object]) -> object:
    return value.symbolic_length if isinstance(value, Valued) and isinstance(value.value, Tensor) else len(value)


class _SymbolicType(type):
    """The class of what stands for int or float: a call with a proxy is a node, and all else is as without it."""

    kind: type

    def __call__(cls, *args: object, **kwargs: object) -> object:
        return _symbolic(cls.kind)(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.kind)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.kind)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.kind

    def __hash__(cls) -> int:
        return hash(cls.kind)


class _Int(int, metaclass=_SymbolicType):
    kind = int


class _Float(float, metaclass=_SymbolicType):
    kind = float


_BUILTINS = {"int": _Int, "float": _Float, "len": _length, "max": _symbolic(max), "min": _symbolic(min)}
