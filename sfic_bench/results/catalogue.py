"""What ``list``, ``env`` and ``explain`` write."""

from typing import Literal

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.shown import Shown


class NamedThing(Struct, frozen=True, kw_only=True):
    """A model, counting convention or execution path that can be named on the command line."""

    kind: Literal["model", "convention", "path"]
    name: str
    summary: str


class ListResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/list/1"):
    """Everything that can be named on the command line."""

    rows: list[NamedThing]


class EnvironmentResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/environment/1"):
    """Versions and devices."""

    environment: Environment
    devices: list[str]


class ExplainedRow(Struct, frozen=True, kw_only=True):
    """What conversion makes of one operation of a network.

    Attributes:
        path: path of the operation's module.
        role: what the operation becomes, such as Stage 2.
        spatial, frequency: channels of S and F in its output; ``None`` where the output is no pair.
    """

    path: str
    operation: str
    role: str
    spatial: int | None
    frequency: int | None
    note: str


class PlacementResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/placement/1"):
    """Where a network's stages go.

    Attributes:
        alpha: share of the frequency channels.
        share: that of the MACs of all convolutions which lie on pairs, at a size that the network takes.
        summary: how many operations have each role, in words; those without a row too.
    """

    environment: Environment
    backbone: str
    rows: list[ExplainedRow]
    share: float | None = None
    alpha: float | None = None
    summary: str = ""
