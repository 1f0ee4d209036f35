"""Where the weights come from that a training starts from: a file, or what others have published for ImageNet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sfic_bench.errors import LISTED, InvalidValue, UnsupportedModel, first_line
from sfic_bench.networks import registry
from sfic_bench.networks.external import check_reference, factory_of, file_of, is_reference, library
from sfic_bench.networks.fetching import Place, fetched
from sfic_bench.networks.head import head_tensors
from sfic_bench.networks.normalisation import HALF, IMAGENET, Normalisation
from sfic_bench.networks.published import CLASSES, PUBLISHED, published, renamed
from sfic_bench.networks.released import import_released, is_released
from sfic_bench.networks.start import Start
from sfic_bench.networks.weights import read_state, without_prefixes

IN_HALF = ("googlenet", "inception_v3")
"""Networks of torchvision that, with published weights, themselves turn ImageNet's normalisation into `HALF`."""


def file_start(path: Path | str, backbone: str) -> Start:
    """The weights in a file, of ``backbone`` or of one of its SFIC forms, by the names here or by the publisher's.

    The published file of a network expects the publisher's normalisation; it is known by its 1,000 classes. Checkpoints
    of the authors' released code are understood too, see `sfic_bench.networks.released`.

    Raises:
        InvalidValue: for a file that does not exist or holds something else.
        MissingDependency: for a file in the format of safetensors, without that package.
    """
    read = read_state(path)
    if is_released(read):
        return Start(state=_of_released(path, backbone), source=str(path))
    state = renamed(_unwrapped(read, backbone), backbone)
    return Start(state=state, source=str(path), normalisation=_normalisation_of(state, backbone))


def _of_released(path: Path | str, backbone: str) -> dict[str, Tensor]:
    released = import_released(path)
    if released.backbone != backbone:
        raise InvalidValue(f"{path} is a released checkpoint of {released.backbone}, which cannot start {backbone}")
    return {name: tensor for name, tensor in released.model.state_dict().items() if name not in released.fresh}


def _unwrapped(state: Mapping[str, Tensor], backbone: str) -> Mapping[str, Tensor]:
    """``state`` without the prefixes that wrappers put in front of all names, unless they are the network's own."""
    unwrapped = without_prefixes(state)
    if unwrapped.keys() == state.keys():
        return state
    own = _new(backbone).state_dict()
    return state if without_prefixes(own).keys() != own.keys() else unwrapped


def _new(backbone: str) -> nn.Module:
    """The network, of which only names and shapes are of use."""
    try:
        return registry.build(backbone, device="meta")
    except (NotImplementedError, RuntimeError):  # some compute with tensors while they are built
        return registry.build(backbone)


def imagenet_start(backbone: str) -> Start:
    """The published weights of ``backbone`` for ImageNet, which are fetched unless they are on this machine.

    Raises:
        UnsupportedModel: if none are published.
        UnreachableWeights: if they cannot be fetched; the message says which file to bring from elsewhere.
        MissingDependency: without the extra ``zoo``.
        InvalidValue: for a damaged file in a cache.
    """
    if not is_reference(backbone):
        registry.check_name(backbone)
        weights = published(backbone)
        state = renamed(_read(weights.place), backbone)
        return Start(state=state, source=_named(weights.place), normalisation=weights.normalisation)
    check_reference(backbone)
    if file_of(backbone) is not None:
        raise UnsupportedModel(f"no weights of ImageNet are published for {backbone}: name a file of yours")
    place, _, name = backbone.rpartition(":")
    factory_of(backbone)  # an unknown name is an error before anything is fetched
    return _timm_start(name) if place == "timm" else _torchvision_start(name)


def _named(place: Place) -> str:
    return f"{place.name} ({place.address})"


def _read(place: Place) -> dict[str, Tensor]:
    path = fetched(place)
    try:
        return read_state(path)
    except InvalidValue as error:
        raise InvalidValue(f"{error}; delete it, so that it is fetched again, or {place.by_hand}") from None


def _timm_start(name: str) -> Start:
    """The weights of a network of timm, which adapts them itself where an older version had other names."""
    timm: Any = library("timm")
    config = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        known = timm.list_pretrained(f"{name.partition('.')[0]}*")[:LISTED]
        others = f"there are {', '.join(known)}" if known else "nor for others whose names begin so"
        raise UnsupportedModel(f"timm has no weights for {name}; {others}")
    files = {} if config.hf_hub_filename is None else {"files": (config.hf_hub_filename,)}
    full_name = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    place = Place(name=full_name, repository=config.hf_hub_id, url=str(config.url or ""), **files)
    path = fetched(place)
    # A format of its own, which the network's class reads: from the web, or where its entry for the hub says so.
    is_custom = bool(config.custom_load) and (config.hf_hub_id is None or config.custom_load == "hf")
    try:
        overlay = {"file": str(path), "custom_load": is_custom}
        state = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
    except Exception as error:  # a damaged file makes timm and torch raise almost anything
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InvalidValue(f"timm cannot read {path}: {reason}; delete it, so that it is fetched again") from error
    return Start(state=state, source=_named(place), normalisation=_of_timm(config))


def _of_timm(config: Any) -> Normalisation:
    return Normalisation(mean=tuple(config.mean), std=tuple(config.std))


def _torchvision_start(name: str) -> Start:
    """The weights that torchvision has for a network; of several, those that it holds for the best."""
    models: Any = library("torchvision").models
    weights = models.get_model_weights(name).DEFAULT
    place = Place(name=f"{type(weights).__name__}.{weights.name}", url=weights.url)
    state = renamed(_read(place), f"torchvision:{name}")
    return Start(state=state, source=_named(place), normalisation=_of_torchvision(name, weights))


def _of_torchvision(name: str, weights: Any) -> Normalisation:
    if name in IN_HALF:
        return HALF
    used = weights.transforms()
    return Normalisation(mean=tuple(used.mean), std=tuple(used.std))


def _normalisation_of(state: Mapping[str, Tensor], backbone: str) -> Normalisation:
    """What the weights in a file expect of pixels, which the file does not say."""
    expected, classes = IMAGENET, CLASSES
    if backbone in PUBLISHED:
        expected = PUBLISHED[backbone].normalisation
    elif backbone.startswith("timm:") and (config := library("timm").get_pretrained_cfg(backbone.partition(":")[2])):
        expected, classes = _of_timm(config), config.num_classes
    elif backbone.startswith("torchvision:"):
        name = backbone.partition(":")[2]
        expected = _of_torchvision(name, library("torchvision").models.get_model_weights(name).DEFAULT)
    if expected == IMAGENET:
        return IMAGENET
    heads = head_tensors(_new(backbone))
    is_published = any(name in state and len(state[name]) == classes for names in heads for name in names)
    return expected if is_published else IMAGENET
