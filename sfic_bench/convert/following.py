"""A graph that grows along an earlier one."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from torch import fx
from torch.fx.node import Argument, Target

Made = TypeVar("Made")


class DiffersError(Exception):
    """A call is not the one that the earlier graph has in its place."""


class FollowingGraph(fx.Graph):
    """A graph whose nodes are those of an ``earlier`` one, for as long as it is given the same calls in the same order.

    The SFIC forms of a network differ in their layers, and seldom in their graphs. To find a node takes a tenth of the
    time of a new one.

    Raises:
        DiffersError: for another call, and for one that is taken back.
    """

    def __init__(self, earlier: fx.Graph) -> None:
        super().__init__()
        self._earlier, self._ahead = earlier, iter(earlier.nodes)

    def create_node(
        self,
        op: str,
        target: Target,
        args: tuple[Argument, ...] | None = None,
        kwargs: dict[str, Argument] | None = None,
        *_: object,
        **__: object,
    ) -> fx.Node:
        node: fx.Node | None = next(self._ahead, None)
        if node is None or (node.op, node.target) != (op, target):
            raise DiffersError
        if node.args != (args or ()) or node.kwargs != (kwargs or {}):
            raise DiffersError
        return node

    def node_copy(self, node: fx.Node, arg_transform: Callable[[fx.Node], Argument] = lambda node: node) -> fx.Node:
        args, kwargs = fx.map_arg((node.args, node.kwargs), arg_transform)
        return self.create_node(node.op, node.target, args, kwargs)

    def erase_node(self, _: fx.Node) -> None:
        raise DiffersError

    def finished(self) -> fx.Graph:
        """The earlier graph, if all of its calls were given."""
        if next(self._ahead, None) is not None:
            raise DiffersError
        return self._earlier


def made_along(like: fx.Graph | None, make: Callable[[fx.Graph | None], Made]) -> Made:
    """What ``make`` gives with the graph ``like`` to follow, or without one if its graph becomes another."""
    if like is not None:
        with suppress(DiffersError):
            return make(like)
    return make(None)
