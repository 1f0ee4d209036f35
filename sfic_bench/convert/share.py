"""How much of a network's arithmetic lies on pairs."""

from math import prod

from torch import nn

from sfic_bench.convert.operation import Conversion
from sfic_bench.convert.values import STANDARD
from sfic_bench.errors import UnsupportedModel

LEAST = 0.5
"""The share of the convolutions' MACs that must lie on pairs where operations are joined without being asked to."""


def check_share(conversion: Conversion) -> None:
    """Refuse a network most of which would stay vanilla.

    Raises:
        UnsupportedModel: if operations have no meaning on a pair and less than half of the MACs lie on pairs.
    """
    kept = [operation for operation in conversion.explained if operation.role == "kept"]
    if not kept:
        return
    share = share_on_pairs(conversion)
    if share is None or share >= LEAST:
        return
    raise UnsupportedModel(
        f"only {share:.0%} of the convolutions' MACs would lie on pairs, since {len(kept)} operations have no meaning "
        f"on a pair, the first of them {kept[0].operation} in {kept[0].path}; on_unsupported='keep' "
        "(--on-unsupported keep) converts the network nevertheless"
    )


def share_on_pairs(conversion: Conversion) -> float | None:
    """Of the MACs of all convolutions, and of linear layers on maps, those of layers that have become stages.

    It is ``None`` for a network that needs the values of its input, since it is run without data.
    """
    on_pairs = {operation.path for operation in conversion.explained if operation.role.startswith("Stage")}
    total = inside = 0
    for node in conversion.vanilla.graph.nodes:
        layer = conversion.modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        try:
            shape = conversion.facts.shape(node) or ()
        except UnsupportedModel:
            return None
        if len(shape) < len(STANDARD):  # a linear layer on vectors
            continue
        channels = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels // layer.groups
        window = () if isinstance(layer, nn.Linear) else layer.kernel_size
        macs = prod(shape) * channels * prod(window)
        total += macs
        inside += macs if str(node.target) in on_pairs else 0
    return inside / total
