"""Weights of ImageNet that others have published, and how their tensors are called here.

The networks here compute what the published ones compute; ``tests/zoo`` shows it for each. Publishers are timm and
torchvision, whose names for the same tensors both are understood, so that a downloaded file fits as it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks.fetching import Place
from sfic_bench.networks.normalisation import HALF, IMAGENET, Normalisation

Names = dict[str, str | None]
"""The name here of a published module; ``None`` for one that the network here does not have."""

CLASSES = 1000
"""Number of classes of the published classifiers."""

DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""How DenseNet's layers are called in old files: ``norm.1`` instead of ``norm1``."""


FOR_TRAINING_ALONE = {"torchvision:googlenet": ("aux1.", "aux2."), "torchvision:inception_v3": ("AuxLogits.",)}
"""The published weights of second classifiers, which the networks are built without."""


def _nothing() -> Names:
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The weights of a backbone.

    Attributes:
        normalisation: what they expect of pixels.
        names: makes the table of their modules' names; modules that it lacks have the same name here.
    """

    place: Place
    normalisation: Normalisation = IMAGENET
    names: Callable[[], Names] = field(default=_nothing)


def _vgg() -> Names:
    # The published networks have three linear layers, as the source does; here there is one.
    timm, torchvision = ("pre_logits.fc1", "pre_logits.fc2", "head.fc"), (f"classifier.{i}" for i in (0, 3, 6))
    return dict.fromkeys((*timm, *torchvision))


def _efficientnet() -> Names:
    names: Names = {
        "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.8.0", "bn2": "features.8.1",
        "classifier": "classifier.1",
    }  # fmt: skip
    gate = {"se.conv_reduce": "{}.fc1", "se.conv_expand": "{}.fc2"}
    # Blocks without an expansion begin with the depthwise convolution.
    plain = (("conv_dw", "bn1"), gate, ("conv_pw", "bn2"))
    expanding = (("conv_pw", "bn1"), ("conv_dw", "bn2"), gate, ("conv_pwl", "bn3"))
    for stage, count in enumerate((1, 2, 2, 3, 3, 4, 1)):
        for block in range(count):
            for i, parts in enumerate(expanding if stage else plain):
                here = f"features.{stage + 1}.{block}.block.{i}"
                places = parts if isinstance(parts, dict) else {part: f"{{}}.{j}" for j, part in enumerate(parts)}
                for part, place in places.items():
                    names[f"blocks.{stage}.{block}.{part}"] = place.format(here)
    return names


def _xception() -> Names:
    names: Names = {
        "conv1": "features.0", "bn1": "features.1", "conv2": "features.3", "bn2": "features.4",
        "conv3.conv1": "features.18", "conv3.pointwise": "features.19", "bn3": "features.20",
        "conv4.conv1": "features.22", "conv4.pointwise": "features.23", "bn4": "features.24",
        "fc": "classifier", "last_linear": "classifier",
    }  # fmt: skip
    for block in range(1, 13):
        here, there = f"features.{5 + block}", f"block{block}"
        names |= {f"{there}.skip": f"{here}.shortcut.0", f"{there}.skipbn": f"{here}.shortcut.1"}
        first = int(block > 1)  # the first block lacks the ReLU that the others begin with
        for i in range(3):
            a, b = 3 * i + first, 4 * i + first
            names[f"{there}.rep.{a}.conv1"] = f"{here}.body.{b}"
            names[f"{there}.rep.{a}.pointwise"] = f"{here}.body.{b + 1}"
            names[f"{there}.rep.{a + 1}"] = f"{here}.body.{b + 2}"
    return names


def _on_hub(name: str) -> Place:
    return Place(name=name, repository=f"timm/{name}")


def _on_web(name: str, url: str) -> Place:
    return Place(name=name, url=url)


_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download"

PUBLISHED: Mapping[str, Published] = {
    "alexnet": Published(place=_on_web("alexnet", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth")),
    "densenet121": Published(place=_on_hub("densenet121.tv_in1k")),
    "efficientnet_b0": Published(place=_on_hub("efficientnet_b0.ra_in1k"), names=_efficientnet),
    "resnet26": Published(place=_on_hub("resnet26.bt_in1k")),
    **{name: Published(place=_on_hub(f"{name}.tv_in1k")) for name in ("resnet50", "resnet101", "resnet152")},
    **{name: Published(place=_on_hub(f"{name}_bn.tv_in1k"), names=_vgg) for name in ("vgg13", "vgg16", "vgg19")},
    "xception": Published(
        place=_on_web("legacy_xception.tf_in1k", f"{_RELEASES}/v0.1-cadene/xception-43020ad28.pth"),
        normalisation=HALF,
        names=_xception,
    ),
}
"""The published weights of each network that has them. Of several, those that were trained with plain augmentation."""

_LACKING = {
    "mobilenet": "those of timm:mobilenetv1_100 were trained with ReLU6, and its activations here have no bound: "
    "use --backbone timm:mobilenetv1_100",
}


def published(backbone: str) -> Published:
    """The published weights of a registered network.

    Raises:
        UnsupportedModel: if there are none; the message says what there is instead.
    """
    if backbone not in PUBLISHED:
        reason = _LACKING.get(backbone, f"there are some for {', '.join(PUBLISHED)}, and for networks of timm")
        raise UnsupportedModel(f"there are no published weights of ImageNet for {backbone}: {reason}; or name a file")
    return PUBLISHED[backbone]


def renamed(state: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """``state`` of ``backbone`` with the names of this package, whichever of the published names it has."""
    table = PUBLISHED[backbone].names() if backbone in PUBLISHED else {}
    unused = FOR_TRAINING_ALONE.get(backbone, ())
    here: dict[str, Tensor] = {}
    for name, tensor in state.items():
        module, _, kind = DENSE_LAYER.sub(r"\1\2", name).rpartition(".")
        if (new := table.get(module, module)) is None or name.startswith(unused):
            continue
        # The oldest file of Xception has the 1×1 convolutions as matrices.
        is_matrix = module.endswith(".pointwise") and tensor.dim() == 2
        here[f"{new}.{kind}" if new else kind] = tensor[:, :, None, None] if is_matrix else tensor
    return here
