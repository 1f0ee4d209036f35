"""SFIC networks in DeepfakeBench: a backbone and a detector, both called ``sfic`` in its registries.

Source of the interface: the repository SCLBD/DeepfakeBench, ``training/detectors/base_detector.py``,
``training/networks/base_backbone.py`` and ``training/trainer/trainer.py``.
"""

import importlib
from collections.abc import Callable, Mapping
from json import dumps
from types import ModuleType

from msgspec import Struct, ValidationError, convert
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.frameworks.backbone import FrameworkBackbone, NetworkRecord
from sfic_bench.networks.normalisation import HALF, Normalisation
from sfic_bench.networks.ratios import beta_beside
from sfic_bench.networks.variant import Variant

NAME = "sfic"
"""The name of the backbone and of the detector in DeepfakeBench's registries."""

Config = Mapping[str, object]
"""What DeepfakeBench reads from a detector's YAML file."""


class BackboneConfig(Struct, frozen=True, kw_only=True):
    """The part ``backbone_config`` of a detector's YAML file, and what the detector adds of the rest.

    Attributes:
        network: a name that `sfic_bench.build` knows.
        alpha, beta: both ``None`` for the vanilla network; beta is 1 if only alpha is given.
        pretrained: weights to start from, as `sfic_bench.build` takes them.
        resolution: height and width of the images, pixels.
        mean, std: what DeepfakeBench takes from pixels in [0, 1], and what it divides them by.
    """

    network: str
    alpha: float | None = None
    beta: float | None = None
    pretrained: str | None = None
    num_classes: int = 2
    resolution: int = 256
    mean: tuple[float, float, float] = HALF.mean
    std: tuple[float, float, float] = HALF.std

    def record(self) -> NetworkRecord:
        """The network that this names."""
        return NetworkRecord(
            framework="DeepfakeBench", input_size=self.resolution,
            variant=Variant(backbone=self.network, alpha=self.alpha, beta=beta_beside(self.alpha, self.beta)),
            normalisation=Normalisation(mean=self.mean, std=self.std),
        )  # fmt: skip


class DeepfakeBenchBackbone(FrameworkBackbone):
    """The backbone ``sfic``, with the interface of DeepfakeBench's own: ``features`` and ``classifier``.

    Args:
        config: ``backbone_config`` of a detector's YAML file, see `BackboneConfig`; other keys mean nothing here.

    Raises:
        InvalidValue: for a value of another type, and for other than two classes.
    """

    def __init__(self, config: Config) -> None:
        try:
            parsed = convert(config, BackboneConfig)
        except ValidationError as error:
            raise InvalidValue(f"backbone_config: {error}") from None
        if parsed.num_classes != 2:
            raise InvalidValue(f"backbone_config: num_classes must be 2, real and fake, got {parsed.num_classes}")
        super().__init__(parsed.record(), parsed.pretrained)


class DeepfakeBenchDetector(nn.Module):
    """The detector ``sfic``: a backbone, and the loss that the YAML file names.

    Args:
        config: the YAML file with DeepfakeBench's own settings, as its ``train.py`` and ``test.py`` read them.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = self.build_backbone(config)
        self.loss_func = self.build_loss(config)

    def build_backbone(self, config: Config) -> FrameworkBackbone:
        own = config.get("backbone_config")
        if not isinstance(own, Mapping):
            raise InvalidValue(f"backbone_config must have at least the key network, got {own!r}")
        rest = {key: config[key] for key in ("resolution", "mean", "std", "pretrained") if key in config}
        return DeepfakeBenchBackbone({**rest, **own})

    def build_loss(self, config: Config) -> Callable[[Tensor, Tensor], Tensor]:
        build: Callable[[], Callable[[Tensor, Tensor], Tensor]] = _module("loss").LOSSFUNC[config["loss_func"]]
        return build()

    def features(self, data_dict: Mapping[str, Tensor]) -> Tensor:
        return self.backbone.features(data_dict["image"])

    def classifier(self, features: Tensor) -> Tensor:
        return self.backbone.classifier(features)

    def get_losses(self, data_dict: Mapping[str, Tensor], pred_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        loss = self.loss_func(pred_dict["cls"], data_dict["label"])
        return {"overall": loss, "cls": loss}

    def get_train_metrics(self, data_dict: Mapping[str, Tensor], pred_dict: Mapping[str, Tensor]) -> dict[str, float]:
        calculate = _module("metrics.base_metrics_class").calculate_metrics_for_train
        auc, eer, acc, ap = calculate(data_dict["label"].detach(), pred_dict["cls"].detach())
        return {"acc": acc, "auc": auc, "eer": eer, "ap": ap}

    def forward(self, data_dict: Mapping[str, Tensor], inference: bool = False) -> dict[str, Tensor]:  # noqa: ARG002
        features = self.features(data_dict)
        logits = self.classifier(features)
        return {"cls": logits, "prob": logits.softmax(dim=1)[:, 1], "feat": features}


def register() -> None:
    """Put the backbone and the detector into DeepfakeBench's registries; called in its ``detectors/__init__.py``.

    Raises:
        MissingDependency: outside DeepfakeBench, whose folder ``training`` must be on Python's path.
    """
    registries = _module("metrics.registry")
    registries.BACKBONE.register_module(module_name=NAME)(DeepfakeBenchBackbone)
    registries.DETECTOR.register_module(module_name=NAME)(DeepfakeBenchDetector)


def _module(name: str) -> ModuleType:
    """One of DeepfakeBench's own modules."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"DeepfakeBench's module {name} cannot be imported: {error}; call this from inside DeepfakeBench, with its "
            "folder training on Python's path"
        ) from None


def config_text(variant: Variant, *, input_size: int = 256) -> str:
    """A detector's YAML file for ``variant``, with all keys that DeepfakeBench's trainer and data set read."""
    # JSON's texts and numbers are YAML's, too.
    return CONFIG.format(
        network=dumps(variant.backbone), alpha=dumps(variant.alpha), beta=dumps(variant.beta), size=input_size,
        name=NAME, mean=list(HALF.mean), std=list(HALF.std),
    )  # fmt: skip


CONFIG = """\
# DeepfakeBench: python training/train.py --detector_path THIS_FILE
model_name: {name}
backbone_name: {name}
backbone_config:
  network: {network}   # a name from `sfic-bench list`, or timm:NAME
  alpha: {alpha}   # share of the frequency channels; null for the vanilla network
  beta: {beta}   # scale of the frequency branch
pretrained: null   # imagenet, or a file of weights

# Pixels: evaluations elsewhere need these, so the checkpoint keeps them.
resolution: {size}
mean: {mean}
std: {std}

# Data.
train_dataset: [FaceForensics++]
test_dataset: [FaceForensics++]
compression: c23
frame_num: {{train: 32, test: 32}}
train_batchSize: 32
test_batchSize: 32
workers: 8
with_mask: false
with_landmark: false
use_data_augmentation: true
data_aug:
  flip_prob: 0.5
  rotate_prob: 0.0
  rotate_limit: [-10, 10]
  blur_prob: 0.5
  blur_limit: [3, 7]
  brightness_prob: 0.5
  brightness_limit: [-0.1, 0.1]
  contrast_limit: [-0.1, 0.1]
  quality_lower: 40
  quality_upper: 100

# Training.
loss_func: cross_entropy
optimizer:
  type: adam
  adam: {{lr: 0.0002, beta1: 0.9, beta2: 0.999, eps: 0.00000001, weight_decay: 0.0005, amsgrad: false}}
lr_scheduler: null
nEpochs: 10
start_epoch: 0
manualSeed: 1024
metric_scoring: auc
save_ckpt: true
save_feat: true
logdir: ./logs
cuda: true
cudnn: true
"""
"""The detector's YAML file, as `str.format` takes it; names and values of DeepfakeBench's keys are its defaults."""
