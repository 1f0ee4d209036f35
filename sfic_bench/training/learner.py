"""A network that learns: its first weights, its optimiser and its loss."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from sfic_bench.measure.conditions import Device
from sfic_bench.measure.memory import lack_of_memory
from sfic_bench.networks import registry
from sfic_bench.networks.detectors.detection import Detector, two_logits
from sfic_bench.networks.head import head_parameters
from sfic_bench.networks.normalisation import IMAGENET, Normalisation
from sfic_bench.networks.start import Start, Started, build_from
from sfic_bench.networks.variant import Variant
from sfic_bench.networks.weights import load
from sfic_bench.processes import cores
from sfic_bench.training.augment import Augment
from sfic_bench.training.average import Average
from sfic_bench.training.checkpoint import Checkpoint, Tensors, adam_state, restore_adam
from sfic_bench.training.recipe import Optimiser, Precision, Recipe, TrainingDevices
from sfic_bench.training.splits import DataSplits

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
    device, usable = torch.device(devices.device), cores()
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidValue("this machine has no CUDA device: leave --device cuda out")
    most = torch.cuda.device_count() if device.type == "cuda" else usable
    if "RANK" not in os.environ and devices.devices > most:  # torchrun has started the processes already
        raise InvalidValue(f"--devices must be at most {most} on this machine, got {devices.devices}")
    if devices.workers > WORKERS_PER_CORE * usable:
        raise InvalidValue(f"--workers must be at most {WORKERS_PER_CORE * usable} here, got {devices.workers}")
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
    # Several processes wait for the gradients of all weights, and frozen ones have none.
    waits_for_all = devices.devices * devices.hosts == 1 or not recipe.freeze
    return Fabric(
        accelerator=devices.device, devices=_chosen(devices), num_nodes=devices.hosts,
        strategy="auto" if waits_for_all else "ddp_find_unused_parameters_true",
        precision=FABRIC_PRECISIONS[recipe.precision],
    )  # fmt: skip


def _chosen(devices: TrainingDevices) -> int | list[int]:
    """How many devices, or the number of the one: torch's current one, which Fabric would take the first for."""
    is_one = devices.device is Device.CUDA and devices.devices * devices.hosts == 1 and torch.cuda.is_available()
    return [torch.cuda.current_device()] if is_one else devices.devices


def new_network(variant: Variant, recipe: Recipe) -> nn.Module:
    """The network with random weights, which follow from the recipe's seed, in the form that the recipe names."""
    return started_network(variant, recipe, None).network


def started_network(variant: Variant, recipe: Recipe, start: Start | None) -> Started:
    """The network with the weights of ``start`` or, without one, random ones; see `new_network`.

    Its tensors are channels last, with which a training step on a CPU takes 0.7 to 0.9 of the time.
    """
    torch.manual_seed(recipe.seed)
    fresh: tuple[str, ...] = ()
    if start is None:
        network = api.build(
            variant.backbone, alpha=variant.alpha, beta=variant.beta, on_unsupported=variant.on_unsupported,
            mcs=recipe.mcs, initialisation=recipe.initialisation, input_size=recipe.input_size,
        )  # fmt: skip
    else:
        started = build_from(start, variant, mcs=recipe.mcs, input_size=recipe.input_size)
        network, fresh = started.network, started.fresh
    if recipe.fused and not variant.is_vanilla:
        network = fuse(network, for_training=True)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Started(network=network, fresh=fresh)


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
        fresh: names of the tensors of the classifier that a start did not have, and that are random.
        average: the moving average of the weights; ``None`` if the recipe has none.
        needs_masks: whether the loss needs to know where images were manipulated. A detector whose data have no masks
            at all learns from its classification loss alone.

    Args:
        fabric: Lightning Fabric.
        variant: the network.
        recipe: how it learns.
        start: the weights that it starts from; ``None`` for random ones, or those of a checkpoint.
        normalisation: what the network expects of pixels.
        has_masks: whether the data have masks.

    Raises:
        InvalidValue: for a setting that this network cannot be trained with, or a start that does not fit.
    """

    def __init__(
        self, fabric: Fabric, variant: Variant, recipe: Recipe, *, start: Start | None = None,
        normalisation: Normalisation = IMAGENET, has_masks: bool = False,
    ) -> None:  # fmt: skip
        self.fabric, self.recipe = fabric, recipe
        started = started_network(variant, recipe, start)
        self.network, self.fresh = started.network.to(fabric.device), started.fresh
        self.needs_masks = isinstance(self.network, Detector) and has_masks
        if isinstance(self.network, Detector) and (recipe.label_smoothing or recipe.compile):
            raise InvalidValue(f"{variant} has a loss of its own: it trains without --label-smoothing and --compile")
        self._head = head_parameters(self.network) if recipe.freeze else frozenset[str]()
        self._learnt = {name for name, parameter in self.network.named_parameters() if parameter.requires_grad}
        compiled = self.network
        if recipe.compile:
            compiled = torch.compile(self.network, dynamic=False)  # type: ignore[assignment]  # it is a module
        self.model, self.optimiser = fabric.setup(compiled, _new_optimiser(self.network, recipe))
        self.average = Average(self.network, recipe.ema) if recipe.ema else None
        if self.needs_masks:
            # Fabric joins the gradients of several processes only after the forward methods that it knows.
            self.model.mark_forward_method("forward_with_labels")
        self.augment = Augment(recipe, normalisation).to(fabric.device)

    def start_epoch(self, epoch: int) -> None:
        """Set the training mode and the random numbers of an epoch, which is counted from 1."""
        # Each process draws its own augmentation, and that of an epoch does not depend on earlier epochs.
        source = np.random.default_rng([self.recipe.seed, epoch, self.fabric.global_rank])
        torch.manual_seed(int(source.integers(2**62)))
        self.model.train()
        self.augment.train()
        if self.recipe.freeze:
            self._freeze_body(epoch <= self.recipe.freeze)

    def _freeze_body(self, is_frozen: bool) -> None:
        """Let only the classifier learn, or all; frozen BatchNorms use what they know of earlier images."""
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in self._learnt and (name in self._head or not is_frozen))
        for module in self.network.modules():
            if is_frozen and getattr(module, "running_mean", None) is not None:
                module.eval()

    def step(self, batch: Batch, epochs: float) -> Tensor:
        """Learn from one batch, ``epochs`` epochs after the beginning; returns its loss, detached."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate_at(epochs)
        self.optimiser.zero_grad()
        parts = batch.parts(max(1, min(self.recipe.accumulate, len(batch) // 2)))  # BatchNorm needs two images
        losses = []
        for number, part in enumerate(parts, 1):
            with self.fabric.no_backward_sync(self.model, enabled=number < len(parts)):
                loss = self._loss(part) * (len(part) / len(batch))
                self.fabric.backward(loss)
            losses.append(loss.detach())
        if self.recipe.clip:
            self.fabric.clip_gradients(self.model, self.optimiser, max_norm=self.recipe.clip, error_if_nonfinite=False)
        self.optimiser.step()
        if self.average is not None:
            self.average.update()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the network the averaged weights for a while, if the recipe has an average."""
        if self.average is None:
            yield
            return
        self.average.exchange()
        try:
            yield
        finally:
            self.average.exchange()

    def weights(self) -> Tensors:
        """A copy on the CPU of the weights that are scored: the average, if there is one."""
        state = self.network.state_dict() if self.average is None else self.average.state()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def checkpoint(self, epoch: int, best: Tensors, best_epoch: int | None) -> Checkpoint:
        """The state after ``epoch`` epochs, with the best weights so far and their epoch."""
        average = self.average
        return Checkpoint(
            epoch=epoch, network=self.network.state_dict(), optimiser=adam_state(self.optimiser.optimizer),
            average={} if average is None else average.state(), average_steps=0 if average is None else average.steps,
            best=best, best_epoch=best_epoch, scaler=self.fabric.strategy.precision.state_dict(),
        )  # fmt: skip

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same training.

        Raises:
            ValueError: if it does not fit.
        """
        load(self.network, checkpoint.network, "the checkpoint")
        restore_adam(self.optimiser.optimizer, checkpoint.optimiser)
        if self.average is not None:
            if checkpoint.average.keys() != self.network.state_dict().keys():
                raise ValueError("the checkpoint lacks the average of the weights")
            self.average.restore(checkpoint.average, checkpoint.average_steps)
        if checkpoint.scaler:
            self.fabric.strategy.precision.load_state_dict(checkpoint.scaler)

    def _loss(self, batch: Batch) -> Tensor:
        device = self.fabric.device
        images, labels = (tensor.to(device, non_blocking=True) for tensor in (batch.images, batch.labels))
        if not isinstance(self.network, Detector):
            logits = two_logits(self.model(self.augment(images)))
            return F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if not self.needs_masks:
            detection = self.model(self.augment(images))
            # Several processes wait for the gradients of all weights, so that the decoder's are 0 and not missing.
            unused = 0 * (detection.mask.sum() + detection.reconstruction.sum())
            loss: Tensor = self.network.classification_loss(detection, labels) + unused
            return loss
        assert batch.masks is not None
        values, masks = self.augment.augmented(images, batch.masks.to(device, non_blocking=True))
        assert masks is not None
        detection = self.model.forward_with_labels(self.augment.normalised(values), labels)
        return self.network.loss(detection, values, labels, masks)


def _new_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam or AdamW; only what is a matrix or a kernel has weight decay.

    The fused form of a step reads and writes each weight once. It cannot clip what a scaler has scaled.
    """
    parameters = list(network.parameters())
    groups: list[dict[str, object]] = [{"params": parameters}]
    if recipe.weight_decay:
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1]},
        ]
    kind = torch.optim.AdamW if recipe.optimiser is Optimiser.ADAMW else torch.optim.Adam
    fused = not (recipe.clip and recipe.precision is Precision.FP16)
    return kind(groups, lr=recipe.learning_rate, betas=(0.9, 0.999), weight_decay=0.0, fused=fused)
