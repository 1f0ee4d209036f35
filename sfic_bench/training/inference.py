"""Inference with a trained network: the scores of images, and attention maps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sfic_bench.convert import fuse
from sfic_bench.data.images import UnreadableImage, load_image
from sfic_bench.data.loader import Batch, Images, Order, batches, resized
from sfic_bench.measure.conditions import Device
from sfic_bench.networks.detectors.detection import TwoLogits, two_logits
from sfic_bench.networks.external import file_of
from sfic_bench.networks.variant import Variant
from sfic_bench.training.augment import Augment
from sfic_bench.training.config import RunConfig, network_digest
from sfic_bench.training.learner import check_machine, new_fabric, new_network
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run, UnusableRun
from sfic_bench.training.splits import UnreadablePaths
from sfic_bench.training.thresholds import named_threshold


def load_input(path: Path, size: int) -> Tensor:
    """The image in ``path`` as bytes 3×size×size, or an `UnreadableImage` error."""
    return torch.from_numpy(resized(load_image(path), size)).permute(2, 0, 1)


@torch.no_grad()
def predict(
    fabric: Fabric,
    model: nn.Module,
    augment: Augment,
    frame: pd.DataFrame,
    loader: DataLoader[Batch],
    note_unreadable: Callable[[Batch, pd.DataFrame], object],
) -> pd.DataFrame:
    """The readable rows of ``frame``, each once and in every process, with a column ``score``, the probability of fake.

    Args:
        fabric: Lightning Fabric, whose processes share the images.
        model: the network, set up by ``fabric``; it and ``augment`` are put into evaluation mode.
        augment: makes the network's input of images.
        frame: rows of a manifest, of which ``loader`` loads this process's share.
        loader: the loader.
        note_unreadable: called with each batch and ``frame``.
    """
    model.eval()
    augment.eval()
    scores = torch.full((len(frame),), float("nan"), dtype=torch.float64, device=fabric.device)
    for batch in loader:
        note_unreadable(batch, frame)
        if len(batch):
            scores[batch.indices.to(fabric.device)] = _fake(model, augment, batch.images.to(fabric.device))
    if fabric.world_size > 1:
        # Only one process has the score of an image, and the others have NaN.
        scores = cast(Tensor, fabric.all_gather(scores)).nanmean(dim=0)
    scored = frame.assign(score=scores.cpu().numpy())
    return scored[scored["score"].notna()].reset_index(drop=True)


def _fake(model: nn.Module, augment: Augment, images: Tensor) -> Tensor:
    """The probability of fake of each of N images, bytes N×3×S×S, in float64."""
    return two_logits(model(augment(images))).double().softmax(dim=1)[:, 1]


def _with_backbone(config: RunConfig, run: Run, backbone: str | None, trust_code: bool) -> Variant:
    """The run's network, from the file that the caller names, if it comes from a file."""
    name = config.variant.backbone
    if backbone is None:
        if file_of(name) is not None and not trust_code:
            raise UnusableRun(
                f"{run.folder} has a network from the file of code {name}, which is not run by itself: read it, then "
                "name it with --backbone FILE.py:FUNCTION, or add --trust-code"
            )
        backbone = name
    elif name != backbone and (file_of(name) is None or file_of(backbone) is None):
        raise UnusableRun(f"{run.folder} has the network {name}, not {backbone}")
    if not trust_code and config.network_file not in (None, network_digest(backbone)):
        raise UnusableRun(
            f"{backbone} has changed since {run.folder} was trained; add --trust-code to use it all the same"
        )
    return replace(config.variant, backbone=backbone)


class TrainedNetwork:
    """The network of a finished run, on one device.

    A run may name a file of Python code that defines its network, and a run may come from a stranger. Such a file is
    run only if the caller names it, too, or trusts it.

    Args:
        run: the run.
        device: the device.
        backbone: the network's name as the caller knows it; ``None`` for what the run says.
        trust_code: whether a file that only the run names may be run.

    Raises:
        UnusableRun: if the run is not finished, if a file of it is damaged, if it has another network than
            ``backbone``, or if it names a file of code that is not trusted.
    """

    def __init__(
        self, run: Run, device: Device = Device.CPU, *, backbone: str | None = None, trust_code: bool = False
    ) -> None:
        run.check()
        config = run.config()
        self.variant, self.recipe, self.run = _with_backbone(config, run, backbone, trust_code), config.recipe, run
        devices = TrainingDevices(device=device)
        check_machine(self.variant, replace(self.recipe, batch_size=1), devices, training=False)
        network = new_network(self.variant, self.recipe)
        run.load_model(network)
        self.fabric = new_fabric(self.recipe, devices)
        self.model: nn.Module = self.fabric.setup(network)
        self.normalisation = config.normalisation
        self.augment = Augment(self.recipe, config.normalisation).to(self.fabric.device).eval()

    def threshold(self, wanted: str | float) -> tuple[str, float]:
        """Name and value of a threshold: a number by itself, or what a rule chose on the run's validation images.

        Args:
            wanted: a number in [0, 1], or the name of a `sfic_bench.choices.ThresholdRule`.

        Raises:
            InvalidValue: for a number out of range.
            UnknownName: for a name that is none of a rule.
            NoThreshold: if the run has no such threshold.
        """
        return named_threshold(self.run.result().thresholds, wanted, str(self.run.folder))

    def fused(self) -> nn.Module:
        """The network fused for inference on the CPU; its output is the logits of real and fake ``[B, 2]``."""
        network = new_network(self.variant, replace(self.recipe, fused=False))
        self.run.load_model(network)
        return TwoLogits(fuse(network.eval(), input_size=self.recipe.input_size)).eval()

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of fake of each of N images, bytes N×3×S×S of the recipe's input size, in float64.

        At most as many as a batch of the recipe has are computed together, which bounds the memory.
        """
        self.model.eval()
        parts = (part.to(self.fabric.device) for part in torch.split(images, self.recipe.batch_size))
        return torch.cat([_fake(self.model, self.augment, part) for part in parts]).cpu()

    def predictions(
        self, frame: pd.DataFrame, folder: Path, *, workers: int = 0, skip_unreadable: bool = False
    ) -> tuple[pd.DataFrame, list[str]]:
        """The readable rows of ``frame`` with a column ``score``, the probability of fake, and the unreadable paths.

        Raises:
            UnusableData: for an image that cannot be read, unless such images are skipped.
        """
        unreadable = UnreadablePaths(skip=skip_unreadable)
        images = Images(frame, folder, self.recipe.input_size, draft=self.recipe.draft)
        loader = batches(images, Order(len(frame)), self.recipe.batch_size, workers)
        scored = predict(self.fabric, self.model, self.augment, frame, loader, unreadable.note)
        return scored, list(unreadable)

    def scores(self, paths: Sequence[Path]) -> Iterator[tuple[Path, float | None, str]]:
        """For each image its path, its probability of fake or ``None``, and the reason why it could not be read."""
        for path in paths:
            try:
                image = load_input(path, self.recipe.input_size)
            except UnreadableImage as error:
                yield path, None, str(error)
                continue
            yield path, float(self.probabilities(image[None])), ""

    def attention(self, images: Sequence[Tensor]) -> Tensor:
        """The average forgery attention map of ``images``, bytes 3×S×S each: S×S, between 0 and 1.

        The map is the gradient of the difference between the fake and the real logit with respect to the input, its
        absolute value, the maximum over channels, and the mean over images. It is scaled to a maximum of 1.

        Source: Guo et al. 2024, Section IV-G, Fig. 5, after Wang & Deng, "Representative forgery mining for fake face
        detection", CVPR 2021.
        """
        self.model.eval()
        total = torch.zeros(self.recipe.input_size, self.recipe.input_size)
        for image in images:
            values = self.augment(image[None].to(self.fabric.device)).requires_grad_()
            logits = two_logits(self.model(values))
            (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), values)
            total += gradient[0].abs().amax(dim=0).float().cpu()
        return total / total.max().clamp_min(1e-30)
