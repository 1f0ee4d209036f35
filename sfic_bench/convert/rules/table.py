"""The table of rules: what each operation of a vanilla network means on pairs.

The rewrite, the placement and `explain` read this one table; the modules of this package fill it, one family of
operations a file.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from sfic_bench.convert.graph import Call
from sfic_bench.convert.norms import known_norm, treats_elements_alike
from sfic_bench.convert.operation import Operation
from sfic_bench.convert.values import Axes, Value

Meaning = Callable[[Operation], Value]
"""What an operation gives, which it writes into the new graph."""

Predicate = Callable[[Call], bool]
"""Whether something holds for a call of the vanilla network, whatever values it reads."""

Movement = Callable[[Call], Axes | None]
"""The axes of what a call gives; ``None`` where they are not those of a map."""

LIBRARIES = frozenset(("", "_operator", "builtins", "math", "torch", "timm", "torchvision"))
"""Packages whose functions are known by their names; torch's own in C++ name no package."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known of an operation.

    Attributes:
        meaning: what the operation gives on the values that it reads.
        ties: whether its result and its inputs must all be pairs or all be single tensors, since the operation treats
            every channel by itself, or only moves channels.
        pools: whether its result is 1×1.
        moves: the axes of its result, by default those of what it reads.
    """

    meaning: Meaning
    ties: Predicate
    pools: Predicate
    moves: Movement


_RULES: dict[type[nn.Module] | str, Rule] = {}


def rule(
    *keys: type[nn.Module] | str,
    ties: bool | Predicate = False,
    pools: bool | Predicate = False,
    moves: Movement = lambda call: call.axes,
) -> Callable[[Meaning], Meaning]:
    """Enter the decorated function into the table, under each of ``keys``; see `Rule` for the other arguments.

    A key is a class of modules, whose subclasses count as well, or a name, which means the method of a tensor, the
    operator, and the function of torch, timm or torchvision that are called so.

    Raises:
        ValueError: for a key that has a rule already.
    """

    def enter(meaning: Meaning) -> Meaning:
        for key in keys:
            if key in _RULES:
                raise ValueError(f"{key} has a rule already")
            _RULES[key] = Rule(meaning, _predicate(ties), _predicate(pools), moves)
        return meaning

    return enter


def rule_for(call: Call) -> Rule | None:
    """The rule for a call of the vanilla network."""
    target = call.node.target
    if call.module is not None:
        # A norm of another library is no subclass of torch's, whose rule it has all the same.
        kinds = (nn.LayerNorm,) if known_norm(call.module) else type(call.module).__mro__
        rule = next((_RULES[kind] for kind in kinds if kind in _RULES), None)
        return _RULES[nn.Identity] if rule is None and treats_elements_alike(call.module) else rule
    if not callable(target):
        return _RULES.get(target) if call.is_method else None
    package = (getattr(target, "__module__", None) or "").partition(".")[0]
    return _RULES.get(getattr(target, "__name__", "")) if package in LIBRARIES else None


def _predicate(value: bool | Predicate) -> Predicate:
    return value if callable(value) else lambda _: value
