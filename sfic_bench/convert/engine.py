"""The rewrite: a vanilla network and a placement become an SFIC network, by one pass over the graph.

Each node of the vanilla graph becomes a value of the new graph (see `sfic_bench.convert.values`), by the rule for its
operation (see `sfic_bench.convert.rules`). Which values are pairs follows from the data flow; each pair's `Layout`
travels along with it and is never worked out anew.
"""

from dataclasses import dataclass

from torch import fx, nn

from sfic_bench.convert.operation import Conversion, ExplainedOperation, Operation
from sfic_bench.convert.options import ConversionOptions
from sfic_bench.convert.rules import rule_for
from sfic_bench.convert.values import Paired, Value, Vector
from sfic_bench.errors import UnsupportedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """An SFIC network, and what has become of the vanilla network's operations, in order."""

    network: fx.GraphModule
    operations: tuple[ExplainedOperation, ...]


def convert(vanilla: fx.GraphModule, options: ConversionOptions) -> Converted:
    """The SFIC form of a vanilla graph, which is not changed.

    Raises:
        UnsupportedModel: for a placement that does not fit, or an operation that cannot run on a pair, named by node
            and module.
    """
    conversion = Conversion(vanilla, options)
    _check_placement(conversion)
    for node in vanilla.graph.nodes:
        conversion.values[node] = _value_of(Operation(conversion, node))
    network = conversion.building.network(f"SFIC{type(vanilla).__name__}", vanilla)
    return Converted(network=network, operations=tuple(conversion.explained))


def _check_placement(conversion: Conversion) -> None:
    placement = conversion.options.placement
    for name in (*placement.stage1, *placement.stage3, *placement.reads, *placement.reads.values()):
        if not isinstance(conversion.modules.get(name), nn.Conv2d) or name not in conversion.calls:
            raise UnsupportedModel(f"the placement names {name!r}, which is no Conv2d of this network")


def _value_of(operation: Operation) -> Value:
    rule = rule_for(operation)
    if rule is None or not operation.values:
        return operation.as_in_vanilla()
    value = rule.meaning(operation)
    if isinstance(value, Paired) and rule.pools(operation):
        return Vector(value.node, value.layout)
    return value
