"""The networks that timm's registry gets, under ``sfic_NAME``."""

from collections.abc import Callable, Sequence

from torch import fx, nn

from sfic_bench.convert import graph_of, placement_of, to_sfic
from sfic_bench.convert.parts import part
from sfic_bench.errors import InvalidValue
from sfic_bench.initialisation import draw_as_released
from sfic_bench.networks import registry
from sfic_bench.networks.external import library
from sfic_bench.networks.head import head_modules
from sfic_bench.networks.start import build_from
from sfic_bench.networks.start_sources import imagenet_start
from sfic_bench.networks.variant import Variant
from sfic_bench.timm.conversion import convert, whole_network
from sfic_bench.timm.levels import levels_of
from sfic_bench.timm.networks import SficFeatures, SficNetwork

timm = library("timm")

PREFIX = "sfic_"
"""The beginning of the names that timm's registry has."""

OWN = (*registry.PAPERS, "efficientnet_b0", "xception")
"""Networks of this package that are registered; the others are timm's."""

TIMMS = (
    "efficientnet_b4",
    *(f"convnext_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "small", "base", "large")),
)
"""Networks of timm that are registered; `convert` takes all of them."""


def _create(
    name: str,
    *,
    alpha: float,
    beta: float,
    pretrained: bool,
    pretrained_cfg: object,
    num_classes: int,
    in_chans: int,
    global_pool: str,
    features_only: bool,
    out_indices: Sequence[int] | None,
) -> SficNetwork | SficFeatures:
    """A registered network of this package."""
    start = imagenet_start(name) if pretrained else None
    variant = Variant(backbone=name)
    vanilla = build_from(start, variant, classes=num_classes or 1, input_size=registry.INPUT_SIZE).network
    graph = graph_of(vanilla)
    if in_chans != 3:
        _set_input_channels(graph, in_chans)
    placement = placement_of(graph)
    model: SficNetwork | SficFeatures
    if features_only:
        levels = levels_of(name)
        chosen = tuple(range(len(levels))) if out_indices is None else tuple(range(len(levels))[i] for i in out_indices)
        nodes = {node.name: node for node in graph.graph.nodes}
        maps = part(graph, [nodes[levels[i].node] for i in chosen])
        described = timm.models.FeatureInfo([level._asdict() for level in levels], chosen)
        within = placement.within(set(map(str, (node.target for node in maps.graph.nodes))))
        model = SficFeatures(to_sfic(maps, alpha, beta, placement=within), described, pretrained_cfg)
    else:
        (classifier,) = head_modules(graph)
        model = whole_network(
            graph, classifier, alpha, beta, num_features=None, pretrained_cfg=pretrained_cfg, placement=placement
        )
        if not num_classes or not global_pool:
            model.reset_classifier(num_classes, global_pool)
    if start is None and name in registry.PAPERS:
        draw_as_released(model)
    return model


def _set_input_channels(graph: fx.GraphModule, channels: int) -> None:
    """Let the convolutions that read the image read ``channels``, with the weights that timm gives them then."""
    for node in graph.graph.nodes:
        if node.op != "call_module" or all(source.op != "placeholder" for source in node.all_input_nodes):
            continue
        conv = graph.get_submodule(str(node.target))
        if not isinstance(conv, nn.Conv2d) or conv.groups != 1:
            raise InvalidValue(f"{node.target} reads the image and takes no in_chans={channels}")
        conv.weight = nn.Parameter(timm.models.adapt_input_conv(channels, conv.weight.detach()))
        conv.in_channels = channels


def _register(name: str) -> None:
    """Put a network of this package into timm's registry."""

    def entry(
        pretrained: bool = False,
        pretrained_cfg: object = None,
        pretrained_cfg_overlay: object = None,
        *,
        cache_dir: object = None,  # noqa: ARG001  # timm gives it to every network
        alpha: float = 0.5,
        beta: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        features_only: bool = False,
        out_indices: Sequence[int] | None = None,
    ) -> SficNetwork | SficFeatures:
        cfg = timm.models.resolve_pretrained_cfg(PREFIX + name, pretrained_cfg, pretrained_cfg_overlay).to_dict()
        return _create(
            name, alpha=alpha, beta=beta, pretrained=pretrained, pretrained_cfg=cfg, num_classes=num_classes,
            in_chans=in_chans, global_pool=global_pool, features_only=features_only, out_indices=out_indices,
        )  # fmt: skip

    _add(name, entry)


def _register_timms(name: str) -> None:
    """Put the SFIC form of one of timm's own networks into its registry."""

    def entry(
        pretrained: bool = False, *, alpha: float = 0.5, beta: float = 1.0, **settings: object
    ) -> SficNetwork | SficFeatures:
        for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
            if settings.get(key) is None:
                settings.pop(key, None)
        return convert(timm.create_model(name, pretrained=pretrained, **settings), alpha=alpha, beta=beta)

    _add(name, entry)


def _add(name: str, entry: Callable[..., nn.Module]) -> None:
    entry.__name__ = entry.__qualname__ = PREFIX + name
    entry.__doc__ = f"SFIC form of {name}: ``alpha``, ``beta``, and what timm's networks take."
    timm.models.register_model(entry)


default_cfgs = timm.models.generate_default_cfgs({
    PREFIX + name: {
        "input_size": (3, registry.input_size_of(name), registry.input_size_of(name)), "num_classes": 1000,
        "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bilinear",
    }
    for name in OWN
})  # fmt: skip
"""What timm knows of the networks of this package: ImageNet's normalisation, which pretrained weights need."""


for _name in OWN:
    _register(_name)
for _name in TIMMS:
    _register_timms(_name)
