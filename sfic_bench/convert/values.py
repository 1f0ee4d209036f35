"""What the value of one node of the vanilla graph becomes in the SFIC network."""

from dataclasses import dataclass

from torch import fx

from sfic_bench.convert.layout import Layout

Axes = tuple[int, ...]
"""For each axis of a vanilla tensor, the axis of ``[B, C, H, W]`` that it is."""

STANDARD: Axes = (0, 1, 2, 3)
CHANNELS_LAST: Axes = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Single:
    """A tensor as the vanilla network has it, or something that is not a tensor, which ``node`` of the new graph gives.

    Attributes:
        channels: 0 where it is the same for all channels, as a number is, and ``None`` where that is not known.
        beside: the pair that has been joined to make it, if no Stage 3 is on the way: a convolution divides it again.
        is_fused: whether it comes from a Stage 3, behind which all convolutions are vanilla.
    """

    node: fx.Node
    channels: int | None = None
    beside: "Paired | None" = None
    is_fused: bool = False


@dataclass(frozen=True, slots=True)
class Paired:
    """A pair of the two branches, which ``node`` of the new graph gives.

    The branches are always ``[B, C, H, W]``. Where the vanilla network has permuted its tensor, as to channels last,
    ``axes`` says so, and nothing moves.
    """

    node: fx.Node
    layout: Layout
    axes: Axes = STANDARD


@dataclass(frozen=True, slots=True)
class Vector(Paired):
    """A pair that a pool has made 1×1 on both branches, as gates and attention over channels read it.

    In vanilla's order it *is* the vanilla tensor at any β, since neither branch has to be resized. So an
    operation without a rule acts on it as in the vanilla network.
    """


@dataclass(frozen=True, slots=True)
class Folded:
    """A pair whose channel axis the vanilla network views as a matrix, in the midst of a channel shuffle.

    Attributes:
        pair: the pair itself, which stays as it is.
        rows, columns: shape of the matrix; channel ``r * columns + c`` is in row r and column c.
        transposed: whether rows and columns have been exchanged since.
    """

    pair: Paired
    rows: int
    columns: int
    transposed: bool = False

    @property
    def order(self) -> tuple[int, ...]:
        """The channel that each place has once the two axes are one axis again."""
        if not self.transposed:
            return tuple(range(self.rows * self.columns))
        return tuple(r * self.columns + c for c in range(self.columns) for r in range(self.rows))


@dataclass(frozen=True, slots=True)
class Parts:
    """Several values that one operation gives, such as the halves of a channel split."""

    values: "tuple[Value, ...]"


Value = Single | Paired | Folded | Parts
