"""Operations that view or pick channels: what they do to a vanilla tensor's channels."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

from torch import fx, nn

from sfic_bench.convert import meanings
from sfic_bench.convert.graph import nodes_in


@dataclass(frozen=True, slots=True)
class Shuffle:
    """A channel shuffle, written as view → transpose → view.

    Attributes:
        chain: its nodes; the last one's value is the shuffled tensor.
        order: the channel that each place has afterwards.
    """

    chain: tuple[fx.Node, ...]
    order: tuple[int, ...]


def shuffle_at(node: fx.Node, channels: int) -> Shuffle | None:
    """The shuffle of a tensor with ``channels`` that begins with ``node``, if one does."""
    if node.target not in meanings.RESHAPES or len(node.args) != 6:
        return None
    groups = next((g for g in node.args[2:4] if isinstance(g, int)), None)
    if groups is None or groups < 1 or channels % groups:
        return None
    chain = [node]
    while len(chain[-1].users) == 1 and len(chain) < 4:
        chain.append(next(iter(chain[-1].users)))
        if chain[-1].target in meanings.RESHAPES:
            break
    between = [_name(n) for n in chain[1:-1]]
    swaps = [n for n in chain[1:-1] if _name(n) == "transpose"]
    if chain[-1].target not in meanings.RESHAPES or len(chain[-1].args) != 5:
        return None
    if len(swaps) != 1 or set(swaps[0].args[1:]) != {1, 2} or set(between) - {"transpose", "contiguous"}:
        return None
    rows = groups if node.args[2] == groups else channels // groups
    columns = channels // rows
    order = tuple(r * columns + c for c in range(columns) for r in range(rows))
    return Shuffle(tuple(chain), order)


def ranges_of(node: fx.Node, total: int) -> list[range] | None:
    """The channels of ``total`` that each part which ``node`` gives has; ``None`` if it takes no channels."""
    name = _name(node)
    if name == "getitem":
        at = node.args[1]
        if not isinstance(at, tuple) or len(at) < 2 or not isinstance(at[1], slice) or at[0] is ...:
            return None
        others = [a for i, a in enumerate(at) if i != 1]
        return [range(total)[at[1]]] if all(a == slice(None) or a is ... for a in others) else None
    if name not in ("chunk", "split") or meanings.argument(node, 2, "dim", 0) not in (1, -3):
        return None
    by = meanings.argument(node, 1, "chunks" if name == "chunk" else "split_size_or_sections")
    by = node.kwargs.get("split_size") if by is None else by
    if isinstance(by, list | tuple) and all(isinstance(n, int) for n in by):
        starts = [sum(by[:i]) for i in range(len(by))]
        return [range(start, start + n) for start, n in zip(starts, by, strict=True)]
    if not isinstance(by, int):
        return None
    width = -(-total // by) if name == "chunk" else by
    return [range(start, min(start + width, total)) for start in range(0, total, width)]


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


class ChannelCounts:
    """How many channels the single tensors of a graph have, as far as its operations tell."""

    def __init__(self, module_of: Callable[[fx.Node], nn.Module | None]) -> None:
        self._module_of = module_of
        self._counts: dict[fx.Node, int] = {}
        self._parts: dict[fx.Node, list[int]] = {}

    def get(self, node: fx.Node) -> int | None:
        return self._counts.get(node)

    def see(self, node: fx.Node) -> None:
        """Take up a node all of whose inputs have been seen."""
        found = self._count(node)
        if found is not None:
            self._counts[node] = found

    def _count(self, node: fx.Node) -> int | None:
        module = self._module_of(node)
        inputs = nodes_in(node.args, node.kwargs)
        if isinstance(module, nn.Conv2d):
            return module.out_channels
        known = [self._counts[i] for i in inputs if i in self._counts]
        if node.target in meanings.CATS:
            return sum(known) if len(known) == len(inputs) else None
        if node.target is operator.getitem and inputs[0] in self._parts and isinstance(node.args[1], int):
            return self._parts[inputs[0]][node.args[1]]
        if known and inputs[0] in self._counts and (ranges := ranges_of(node, known[0])):
            self._parts[node] = [len(r) for r in ranges]
            return len(ranges[0]) if node.target is operator.getitem else None
        return max(known) if known and meanings.keeps_channels(node, module) else None
