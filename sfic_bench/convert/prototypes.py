"""Layers that are made once for all equal ones, in networks that are only looked at.

A network has few different layers, and its conversions have most of theirs in common. Where nobody runs or trains a
network, one module can stand at all paths that have equal ones: its prototype.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from torch import fx, nn

from sfic_bench.modules import evaluate, modules_by_name

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Prototypes:
    """All prototypes of the networks that are looked at together, which are in evaluation mode."""

    def __init__(self) -> None:
        self._of: dict[object, nn.Module] = {}
        self._made: dict[object, tuple[object, object]] = {}
        self._networks: WeakKeyDictionary[fx.GraphModule, dict[str, nn.Module]] = WeakKeyDictionary()

    def modules_of(self, network: fx.GraphModule) -> dict[str, nn.Module]:
        """The modules of ``network`` by name, with its prototype in the place of each that the graph calls."""
        if network not in self._networks:
            modules = modules_by_name(network)
            called = {str(node.target) for node in network.graph.nodes if node.op == "call_module"}
            self._networks[network] = modules | {path: self._prototype(modules[path]) for path in called}
        return self._networks[network]

    def made(self, make: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made:
        """What ``make`` gives, once for all calls with equal arguments; modules and tensors are known by identity."""
        # With their types, since 1 and 1.0 are equal.
        key = (make, args, *map(type, args), *kwargs.items(), *map(type, kwargs.values()))
        try:
            return self._made[key][0]  # type: ignore[return-value]  # what this function gave
        except (KeyError, TypeError) as error:
            result = make(*args, **kwargs)
            for module in result if isinstance(result, tuple) else (result,):
                if isinstance(module, nn.Module):
                    evaluate(module)
            if isinstance(error, KeyError):
                self._made[key] = result, (args, kwargs)  # arguments that live keep their identity
            return result

    def _prototype(self, module: nn.Module) -> nn.Module:
        description = described(module)
        return module if description is None else self._of.setdefault(description, module)


def described(module: nn.Module, *, with_children: bool = False) -> object:
    """All that can decide what ``module`` does, save for its weights' values; ``None`` if that is not known.

    It is not known of a module that has hooks, or that has modules, unless these are described ``with_children``.
    """
    facts: list[object] = [type(module)]
    for name, value in vars(module).items():
        if name in ("_parameters", "_buffers"):
            facts += [(n, None if t is None else (t.shape, t.dtype, t.requires_grad)) for n, t in value.items()]
        elif name == "_modules" and with_children:
            children = {n: described(child, with_children=True) for n, child in value.items() if child is not None}
            if None in children.values():
                return None
            facts += [*value, *children.items()]
        elif isinstance(value, _CONTAINERS):
            if value:
                return None
        elif isinstance(value, _CONSTANTS):
            facts += (name, type(value), value)
        else:
            return None
    return _if_hashable(tuple(facts))


# Tuples, since a union of types takes several times as long.
_CONTAINERS, _CONSTANTS = (dict, set), (int, float, str, tuple, type(None))


def _if_hashable(facts: tuple[object, ...]) -> tuple[object, ...] | None:
    try:
        hash(facts)
    except TypeError:  # an attribute is a tuple of lists, say
        return None
    return facts
