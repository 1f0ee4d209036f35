"""SFIC networks in ForensicHub: the model ``SFIC`` in its registry.

Source of the interface: the repository scu-zjz/ForensicHub, ``ForensicHub/registry.py``,
``ForensicHub/core/base_model.py`` and ``ForensicHub/training_scripts/train.py``.
"""

import importlib
from json import dumps

from torch import Tensor, nn
from torch.nn import functional as F

from sfic_bench.errors import MissingDependency, UnknownName
from sfic_bench.frameworks.backbone import FrameworkBackbone, NetworkRecord
from sfic_bench.networks.normalisation import HALF, IMAGENET, Normalisation
from sfic_bench.networks.ratios import beta_beside
from sfic_bench.networks.variant import Variant

NAME = "SFIC"
"""The name of the model in ForensicHub's registry."""

NORMALISATIONS = {
    "image_net": IMAGENET,
    "standard": HALF,
    "clip": Normalisation(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)),
    "none": Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
}
"""What ForensicHub's transforms do to pixels in [0, 1], by their ``norm_type``."""

Scores = dict[str, Tensor | dict[str, Tensor]]
"""What ForensicHub's trainer takes from a model: its loss, its scores, and the losses that are drawn."""


class ForensicHubModel(nn.Module):
    """The model ``SFIC``. ForensicHub gives it the keys of ``init_config`` in its YAML file.

    Args:
        backbone: a name that `sfic_bench.build` knows.
        alpha, beta: both ``None`` for the vanilla network; beta is 1 if only alpha is given.
        image_size: height and width of the images, pixels, as the data sets' ``init_config`` says.
        norm_type: what the transform does to pixels, as its ``init_config`` says.
        pretrained: weights to start from, as `sfic_bench.build` takes them.

    Raises:
        UnknownName: for another backbone or ``norm_type``.
        InvalidValue: for a ratio out of range, or weights that do not fit.
    """

    def __init__(
        self, backbone: str, alpha: float | None = None, beta: float | None = None, image_size: int = 256,
        norm_type: str = "image_net", pretrained: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if norm_type not in NORMALISATIONS:
            raise UnknownName("norm_type", norm_type, NORMALISATIONS)
        # ForensicHub's reader makes a float of every number that YAML takes for text.
        record = NetworkRecord(
            framework="ForensicHub", input_size=int(image_size),
            variant=Variant(backbone=backbone, alpha=alpha, beta=beta_beside(alpha, beta)),
            normalisation=NORMALISATIONS[norm_type],
        )  # fmt: skip
        self.backbone = FrameworkBackbone(record, pretrained)

    def forward(self, image: Tensor, label: Tensor, **_: object) -> Scores:
        """The loss of images ``[B, 3, H, W]`` with labels ``[B]``, fake = 1, and the probabilities of fake, ``[B]``."""
        logits = self.backbone(image)
        loss = F.cross_entropy(logits, label.long().flatten())
        return {
            "backward_loss": loss, "pred_label": logits.softmax(dim=1)[:, 1], "visual_loss": {"combined_loss": loss}
        }  # fmt: skip


def register() -> None:
    """Put the model into ForensicHub's registry; called at the end of ``ForensicHub/__init__.py``.

    Raises:
        MissingDependency: where ForensicHub cannot be imported.
    """
    try:
        models = importlib.import_module("ForensicHub.registry").MODELS
    except ImportError as error:
        raise MissingDependency(
            f"ForensicHub cannot be imported: {error}; call this from inside ForensicHub, with its folder on Python's "
            "path"
        ) from None
    models.register_module(name=NAME, module=ForensicHubModel, force=True)


def config_text(variant: Variant, *, input_size: int = 256) -> str:
    """A YAML file for ForensicHub's trainer, with all keys that it reads."""
    # JSON's texts and numbers are YAML's, too.
    return CONFIG.format(
        network=dumps(variant.backbone), alpha=dumps(variant.alpha), beta=dumps(variant.beta), size=input_size,
        name=NAME,
    )  # fmt: skip


CONFIG = """\
# ForensicHub: forhub train THIS_FILE
gpus: "0"
flag: train
log_dir: ./log/sfic
if_predict_label: true
if_predict_mask: false

model:
  name: {name}
  init_config:
    backbone: {network}   # a name from `sfic-bench list`, or timm:NAME
    alpha: {alpha}   # share of the frequency channels; null for the vanilla network
    beta: {beta}   # scale of the frequency branch
    image_size: {size}   # as in the data sets below
    norm_type: image_net   # as in the transform below
    pretrained: null   # imagenet, or a file of weights

transform:
  name: AIGCTransform
  init_config:
    norm_type: image_net

train_dataset:
  name: DeepfakeCrossDataset
  dataset_name: FaceForensics++
  init_config:
    image_size: {size}
    path: ./datasets
    config_file: ./datasets/FaceForensics++.json
    split_mode: train

test_dataset:
  - name: DeepfakeCrossDataset
    dataset_name: FaceForensics++
    init_config:
      image_size: {size}
      path: ./datasets
      config_file: ./datasets/FaceForensics++.json
      split_mode: test

evaluator:
  - name: ImageAUC

batch_size: 32
test_batch_size: 32
epochs: 20
accum_iter: 1
record_epoch: 0
no_model_eval: false
test_period: 1
log_per_epoch_count: 20
find_unused_parameters: false
use_amp: false
weight_decay: 0.05
lr: 1e-4
blr: 0.001
min_lr: 1e-5
warmup_epochs: 1
device: cuda
seed: 42
resume: ""
start_epoch: 0
num_workers: 8
pin_mem: true
world_size: 1
local_rank: -1
dist_on_itp: false
dist_url: env://
"""
"""The trainer's YAML file, as `str.format` takes it."""
