"""Training and scoring on any device, one or several, with Lightning Fabric.

The same seed gives the same weights on a CPU: order, augmentation and dropout follow from seed and epoch alone,
so that a run which goes on after epoch k is the run that was never interrupted.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from sfic_bench import api
from sfic_bench.backbones.detectors.detection import Detector, two_logits
from sfic_bench.convert import fuse
from sfic_bench.data.loader import Batch, Images, Order, batches
from sfic_bench.errors import InvalidValue
from sfic_bench.report.environment import environment
from sfic_bench.spec import Variant
from sfic_bench.train.augment import Augment
from sfic_bench.train.predict import as_json, predict, summary_of
from sfic_bench.train.recipe import PRECISIONS, Recipe
from sfic_bench.train.runs import Run
from sfic_bench.train.scores import NAMES, metrics
from sfic_bench.train.splits import Data, UnreadableData, left_out

RATED = 8
"""Batches over which the loader's rate is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where to train: as Lightning Fabric names it.

    Attributes:
        devices: of one host.
        hosts: with more than one, torchrun has started the processes on each.
        workers: processes that decode, for each device.
    """

    accelerator: str = "cpu"
    devices: int = 1
    hosts: int = 1
    workers: int = 0
    skip_unreadable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What is known after a step."""

    epoch: int
    step: int
    steps: int
    loss: float
    images_per_s: float
    auc: float | None


Tell = Callable[[Progress], object]


def train(
    variant: Variant,
    recipe: Recipe,
    data: Data,
    run: Run,
    machine: Machine,
    *,
    resume: bool = False,
    tell: Tell | None = None,
) -> Mapping[str, Any]:
    """Train one network and score it; what ends up in the run's ``result.json``.

    Raises:
        UnusableRun: see `Run.begin`.
        UnreadableData: for an image that cannot be read, unless they are to be skipped.
    """
    fabric = Fabric(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.hosts,
        precision=cast(Any, PRECISIONS[recipe.precision]),
    )
    fabric.launch()
    if fabric.global_rank == 0:
        config = {
            "variant": asdict(variant),
            "recipe": asdict(recipe),
            "data": data.name,
            "images": _counts(data),
        }
        run.begin(config, environment(), resume=resume)
    fabric.barrier()
    if run.is_finished:
        return run.result()
    return _Training(fabric, variant, recipe, data, run, machine, tell).result()


def _counts(data: Data) -> dict[str, int]:
    return {part: len(getattr(data, part)) for part in ("train", "val", "test")}


def new_network(variant: Variant, recipe: Recipe) -> nn.Module:
    """The network with its first weights, which follow from the recipe's seed; fused where that was asked for.

    Channels last: a step takes 0.7 to 0.9 of the time on a CPU.
    """
    torch.manual_seed(recipe.seed)
    model = api.build(
        variant.backbone,
        alpha=variant.alpha,
        beta=variant.beta,
        on_unsupported=variant.on_unsupported,
        input_size=recipe.input_size,
    )
    if recipe.fused and not variant.is_vanilla:
        model = fuse(model, for_training=True)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class _Training:
    def __init__(
        self,
        fabric: Fabric,
        variant: Variant,
        recipe: Recipe,
        data: Data,
        run: Run,
        machine: Machine,
        tell: Tell | None,
    ) -> None:
        self.fabric, self.recipe, self.data, self.run, self.machine, self.tell = (
            fabric,
            recipe,
            data,
            run,
            machine,
            tell,
        )
        model = new_network(variant, recipe)
        optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.999))
        self.done = run.load_checkpoint(model, optimiser) if run.has_checkpoint else 0
        self.bare = model
        self.model, self.optimiser = fabric.setup(model, optimiser)
        if isinstance(model, Detector):
            # Its gradients must meet over processes too when it goes forward another way.
            self.model.mark_forward_method("taught")
        self.augment = Augment(recipe).to(fabric.device)
        self.unreadable: set[str] = set()
        self.order, self.training = self._loader(data.train, shuffled=True)

    def result(self) -> Mapping[str, Any]:
        epochs = [e for e in self.run.epochs() if e["epoch"] <= self.done]
        read = self._loader_rate() if self.done < self.recipe.epochs else None
        for epoch in range(self.done + 1, self.recipe.epochs + 1):
            loss, rate = self._epoch(epoch, epochs[-1]["val"]["auc"] if epochs else None)
            scores = self._validated()
            epochs.append(
                {
                    "epoch": epoch,
                    "loss": loss,
                    "images_per_s": rate,
                    "loader_images_per_s": read,
                    "val": scores,
                }
            )
            if self.fabric.global_rank == 0:
                self.run.save_epochs(epochs)
                self._events(epochs[-1])
                self.run.save_checkpoint(self.bare, self.optimiser, epoch)
            self.fabric.barrier()
        predictions = self.predict(self.data.test)
        result = {
            "epochs": self.recipe.epochs,
            "images": len(predictions),
            "unreadable": sorted(self.unreadable),
            "scores": {level: as_json(found) for level, found in summary_of(predictions).items()},
        }
        if self.fabric.global_rank == 0:
            self.run.save_model(self.bare, self.recipe.epochs)
            self.run.save_predictions(predictions)
            self.run.finish(result)
        self.fabric.barrier()
        return result

    def _loader_rate(self) -> float:
        """Images a second of decoding alone, over a few batches: what the training step must not wait for."""
        started, seen = time.perf_counter(), 0
        for step, batch in enumerate(self.training, 1):
            seen += len(batch)
            if step == RATED:
                break
        return seen * self.fabric.world_size / (time.perf_counter() - started)

    def _validated(self) -> dict[str, float | None]:
        if not len(self.data.val):
            return dict.fromkeys(NAMES)
        predictions = self.predict(self.data.val)
        return metrics(predictions["score"].to_numpy(dtype=float), predictions["label"].to_numpy(dtype=float))

    def _epoch(self, epoch: int, auc: float | None) -> tuple[float, float]:
        """Mean loss and images a second."""
        recipe, fabric = self.recipe, self.fabric
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * recipe.decay ** (epoch - 1)
        # Each process draws its own augmentation, and an epoch's does not depend on what was drawn before.
        torch.manual_seed(
            int(np.random.default_rng([recipe.seed, epoch, fabric.global_rank]).integers(2**62))
        )
        self.model.train()
        self.augment.train()
        losses, seen, started = [], 0, time.perf_counter()
        self.order.epoch = epoch
        for step, batch in enumerate(self.training, 1):
            self._tell_unreadable(batch, self.data.train)
            if len(batch) < 2:  # BatchNorm has no variance of one image
                continue
            loss = self._loss(batch)
            self.optimiser.zero_grad()
            fabric.backward(loss)
            self.optimiser.step()
            losses.append(loss.detach())
            seen += len(batch) * fabric.world_size
            if self.tell is not None and fabric.global_rank == 0:
                rate = seen / (time.perf_counter() - started)
                told = Progress(
                    epoch=epoch,
                    step=step,
                    steps=len(self.training),
                    loss=float(losses[-1]),
                    images_per_s=rate,
                    auc=auc,
                )
                self.tell(told)
        if not losses:
            raise UnreadableData(f"{self.data.name}: fewer than two images of the split train can be read")
        mean = float(cast(Tensor, fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")))
        if not np.isfinite(mean):
            raise InvalidValue(f"the loss became {mean} in epoch {epoch}: try a lower --learning-rate")
        return mean, seen / (time.perf_counter() - started)

    def _loss(self, batch: Batch) -> Tensor:
        device = self.fabric.device
        images, labels = batch.images.to(device), batch.labels.to(device)
        if not isinstance(self.bare, Detector):
            return F.cross_entropy(two_logits(self.model(self.augment(images))), labels)
        assert batch.masks is not None
        values, masks = self.augment.moved(images, batch.masks.to(device))
        assert masks is not None
        found = self.model.taught(self.augment.normalised(values), labels)
        return self.bare.loss(found, values, labels, masks)

    def _loader(self, frame: pd.DataFrame, *, shuffled: bool = False) -> tuple[Order, Any]:
        fabric, recipe = self.fabric, self.recipe
        seed = recipe.seed if shuffled else None
        order = Order(len(frame), rank=fabric.global_rank, of=fabric.world_size, seed=seed)
        masks = shuffled and isinstance(self.bare, Detector)
        images = Images(frame, self.data.folder, recipe.input_size, masks=masks)
        return order, batches(
            images, order, max(1, recipe.batch_size // fabric.world_size), self.machine.workers
        )

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """``frame`` with a column ``score``, the probability of fake; without what could not be read."""
        return predict(
            self.fabric, self.model, self.augment, frame, self._loader(frame)[1], self._tell_unreadable
        )

    def _tell_unreadable(self, batch: Batch, frame: pd.DataFrame) -> None:
        self.unreadable.update(left_out(batch, frame, skip=self.machine.skip_unreadable))

    def _events(self, epoch: Mapping[str, Any]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        writer: Any = SummaryWriter(str(self.run.folder / "events"), purge_step=epoch["epoch"])
        values = {
            "loss": epoch["loss"],
            "images_per_s": epoch["images_per_s"],
            "loader_images_per_s": epoch["loader_images_per_s"],
            **{f"val/{k}": v for k, v in epoch["val"].items()},
        }
        for name, value in values.items():
            if value is not None:
                writer.add_scalar(name, value, epoch["epoch"])
        writer.close()
