"""A network that learns: its first weights, its optimiser and its loss."""

import os
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from sfic_bench import api
from sfic_bench.convert import fuse
from sfic_bench.data.loader import Batch
from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.measure.memory import lack_of_memory
from sfic_bench.networks import registry
from sfic_bench.networks.detectors.detection import Detector, two_logits
from sfic_bench.networks.variant import Variant
from sfic_bench.train.augment import Augment
from sfic_bench.train.recipe import Precision, Recipe, TrainingDevices
from sfic_bench.train.runs import Run
from sfic_bench.train.splits import DataSplits

WORKERS_PER_CORE = 16
"""More processes than this for each core only wait for each other."""

FABRIC_PRECISIONS: Mapping[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    Precision.FP32: "32-true", Precision.BF16: "bf16-mixed", Precision.FP16: "16-mixed"
}  # fmt: skip
"""The names that Lightning Fabric gives to the precisions."""


def check_machine(variant: Variant, recipe: Recipe, devices: TrainingDevices, *, training: bool) -> None:
    """Check that this machine has the devices, the cores and the memory for a network, before anything is started.

    Raises:
        InvalidValue: with what is lacking.
    """
    device, cores = torch.device(devices.device), os.cpu_count() or 1
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidValue("this machine has no CUDA device: leave --device cuda out")
    most = torch.cuda.device_count() if device.type == "cuda" else cores
    if "RANK" not in os.environ and devices.devices > most:  # torchrun has started the processes already
        raise InvalidValue(f"--devices must be at most {most} on this machine, got {devices.devices}")
    if devices.workers > WORKERS_PER_CORE * cores:
        raise InvalidValue(f"--workers must be at most {WORKERS_PER_CORE * cores} here, got {devices.workers}")
    images = max(1, recipe.batch_size // (devices.devices * devices.hosts))
    if lack := lack_of_memory(_least_bytes(variant, recipe, images, training), device):
        size = f"{images} images of {recipe.input_size}×{recipe.input_size}"
        raise InvalidValue(f"{variant} does not fit with {size}: {lack}; lower the batch size or the input size")


def _least_bytes(variant: Variant, recipe: Recipe, images: int, training: bool) -> int:
    """The least memory that the vanilla network takes; 0 if it cannot be counted."""
    try:
        (costed,) = api.costs([Variant(backbone=variant.backbone)], input_size=recipe.input_size)
    except (SficBenchError, RuntimeError):
        return 0  # a network may train that cannot be counted
    return costed.cost.least_bytes(images=images, training=training)


def new_fabric(recipe: Recipe, devices: TrainingDevices) -> Fabric:
    """An instance of Lightning Fabric for these devices, with the recipe's precision."""
    return Fabric(
        accelerator=devices.device, devices=devices.devices, num_nodes=devices.hosts,
        precision=FABRIC_PRECISIONS[recipe.precision],
    )  # fmt: skip


def new_network(variant: Variant, recipe: Recipe) -> nn.Module:
    """The network with its first weights, which follow from the recipe's seed, in the form that the recipe names.

    Its tensors are channels last, with which a training step on a CPU takes 0.7 to 0.9 of the time.
    """
    torch.manual_seed(recipe.seed)
    network = api.build(
        variant.backbone, alpha=variant.alpha, beta=variant.beta, on_unsupported=variant.on_unsupported,
        mcs=recipe.mcs, initialisation=recipe.initialisation, input_size=recipe.input_size,
    )  # fmt: skip
    if recipe.fused and not variant.is_vanilla:
        network = fuse(network, for_training=True)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def lacks_masks(variant: Variant, data: DataSplits) -> bool:
    """Whether a network would learn from masks and ``data`` have none, so that it learns from labels alone."""
    if not variant.is_vanilla or variant.backbone not in registry.detector_names() or data.has_masks:
        return False
    return isinstance(registry.build(variant.backbone, device="meta"), Detector)


class Learner:
    """A network with its optimiser and its augmentation, on the device of this process.

    Attributes:
        network: the network itself, whose state dict has its own names.
        model, optimiser: the network and Adam as Fabric calls them, with the gradients of all processes.
        needs_masks: whether the loss needs to know where images were manipulated. A detector whose data have no masks
            at all learns from its classification loss alone.
        finished_epochs: number of epochs that the run's checkpoint has; 0 without a checkpoint.
    """

    def __init__(self, fabric: Fabric, variant: Variant, recipe: Recipe, run: Run, *, has_masks: bool) -> None:
        self.fabric, self.recipe = fabric, recipe
        self.network = new_network(variant, recipe)
        optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.999))
        self.finished_epochs = 0
        if run.has_checkpoint:
            self.finished_epochs = run.load_checkpoint(self.network, optimiser, recipe.epochs)
        self.model, self.optimiser = fabric.setup(self.network, optimiser)
        self.needs_masks = isinstance(self.network, Detector) and has_masks
        if self.needs_masks:
            # Fabric joins the gradients of several processes only after the forward methods that it knows.
            self.model.mark_forward_method("forward_with_labels")
        self.augment = Augment(recipe).to(fabric.device)

    def start_epoch(self, epoch: int) -> None:
        """Set the learning rate, the training mode and the random numbers of an epoch, which is counted from 1."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate_in(epoch)
        # Each process draws its own augmentation, and that of an epoch does not depend on earlier epochs.
        source = np.random.default_rng([self.recipe.seed, epoch, self.fabric.global_rank])
        torch.manual_seed(int(source.integers(2**62)))
        self.model.train()
        self.augment.train()

    def step(self, batch: Batch) -> Tensor:
        """Learn from one batch; returns its loss, detached."""
        loss = self._loss(batch)
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        self.optimiser.step()
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        device = self.fabric.device
        images, labels = batch.images.to(device), batch.labels.to(device)
        if not isinstance(self.network, Detector):
            return F.cross_entropy(two_logits(self.model(self.augment(images))), labels)
        if not self.needs_masks:
            detection = self.model(self.augment(images))
            # Several processes wait for the gradients of all weights, so that the decoder's are 0 and not missing.
            unused = 0 * (detection.mask.sum() + detection.reconstruction.sum())
            loss: Tensor = self.network.classification_loss(detection, labels) + unused
            return loss
        assert batch.masks is not None
        values, masks = self.augment.augmented(images, batch.masks.to(device))
        assert masks is not None
        detection = self.model.forward_with_labels(self.augment.normalised(values), labels)
        return self.network.loss(detection, values, labels, masks)
