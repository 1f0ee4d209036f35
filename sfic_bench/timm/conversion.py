"""The SFIC form of a network that timm made."""

from collections.abc import Callable
from typing import TypedDict, Unpack

from torch import fx, nn

from sfic_bench.choices import McsMode, OnUnsupported
from sfic_bench.convert import Placement, graph_of, placement_of, to_sfic
from sfic_bench.convert.parts import last_map, part
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks.head import head_modules
from sfic_bench.timm.networks import SficFeatures, SficNetwork, results_of


class ConversionSettings(TypedDict, total=False):
    """What `sfic_bench.to_sfic` takes besides the ratios."""

    placement: Placement
    mcs: McsMode | str
    on_unsupported: OnUnsupported | str
    share: bool


def convert(
    model: nn.Module,
    *,
    alpha: float,
    beta: float = 1.0,
    input_size: int | None = None,
    **settings: Unpack[ConversionSettings],
) -> SficNetwork | SficFeatures:
    """The SFIC form of a network that timm made, with its weights carried over into the blocks, and timm's interface.

    Args:
        model: what ``timm.create_model`` gave, also with ``features_only=True``; not changed.
        alpha: share of the frequency channels, in [0, 1].
        beta: scale of the frequency branch, in (0, 1].
        input_size: height and width of the images at which code that branches on a size is followed.
        settings: as `sfic_bench.to_sfic` takes them.

    Raises:
        UnsupportedModel: for a network that cannot be converted, or that has no layer that gives the logits.
    """
    if type(model).__name__ == "FeatureHookNet":
        raise UnsupportedModel(
            "timm collects the maps of this network by hooks, which are not followed: convert it whole"
        )
    graph = graph_of(model, input_size)
    if (info := getattr(model, "feature_info", None)) is not None and not hasattr(model, "forward_head"):
        return SficFeatures(to_sfic(graph, alpha, beta, **settings), info)
    get_classifier: Callable[[], object] = getattr(model, "get_classifier", lambda: None)
    classifier = get_classifier()
    found = [name for name, module in model.named_modules() if module is classifier] or head_modules(model)
    if len(found) != 1:
        raise UnsupportedModel("the network has no single layer that gives its logits: give it one, then convert it")
    return whole_network(
        graph, found[0], alpha, beta, num_features=getattr(model, "num_features", None),
        pretrained_cfg=getattr(model, "pretrained_cfg", None), **settings,
    )  # fmt: skip


def whole_network(
    graph: fx.GraphModule,
    classifier: str,
    alpha: float,
    beta: float,
    *,
    num_features: int | None,
    pretrained_cfg: object,
    **settings: Unpack[ConversionSettings],
) -> SficNetwork:
    """The SFIC form of a whole network."""
    last, results = last_map(graph), results_of(graph)
    settings.setdefault("placement", placement_of(graph))
    network = to_sfic(part(graph, [last, *results]), alpha, beta, **settings)
    return SficNetwork(
        network, part(graph, results, last), classifier=classifier, num_features=num_features,
        pretrained_cfg=pretrained_cfg,
    )  # fmt: skip
