"""Training and scoring on any device, one or several, with Lightning Fabric.

The same seed gives the same weights on a CPU: order, augmentation and dropout depend only on seed and epoch, so that
a run that is resumed after epoch k equals a run that was never interrupted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from sfic_bench.data.loader import Batch, Images, Order, batches
from sfic_bench.errors import InvalidValue
from sfic_bench.networks.variant import Variant
from sfic_bench.processes import end_with_starter, named_starter
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import EpochRow, Trained
from sfic_bench.train.config import RunConfig
from sfic_bench.train.inference import predict
from sfic_bench.train.learner import Learner, check_machine, new_fabric
from sfic_bench.train.recipe import Recipe, TrainingDevices
from sfic_bench.train.runs import Run
from sfic_bench.train.scores import METRIC_NAMES, metrics, summary
from sfic_bench.train.splits import DataSplits, UnreadablePaths, UnusableData

RATED_BATCHES = 8
"""The number of batches over which the loader's rate is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingProgress:
    """The state of a training after a step, and once more after the validation at the end of an epoch.

    Attributes:
        epoch, step: the current epoch, and its last step, both counted from 1.
        epochs, steps: number of epochs, and of steps in each.
        loss: loss of the last step; at the end of an epoch its mean over the epoch.
        images_per_s: images a second since the epoch began, over all devices.
        auc: AUC of the last validation; ``None`` before the first or without validation images.
        is_epoch_end: whether the epoch's validation is over.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    images_per_s: float
    auc: float | None
    is_epoch_end: bool = False


ProgressListener = Callable[[TrainingProgress], object]
"""A function that a training calls with its progress, only in its first process."""


def train(
    variant: Variant,
    recipe: Recipe,
    data: DataSplits,
    run: Run,
    devices: TrainingDevices,
    *,
    resume: bool = False,
    listener: ProgressListener | None = None,
) -> Trained:
    """Train one network and score it on the test split; returns the contents of the run's ``result.json``.

    Raises:
        UnusableRun: see `Run.begin`.
        UnusableData: if fewer than two training images or no test image can be read, and for any image that cannot be
            read, unless such images are skipped.
        InvalidValue: if this machine lacks what the training needs, or if the loss is no finite number.
    """
    end_with_starter()
    if not run.is_finished:
        check_machine(variant, recipe, devices, training=True)
    fabric = new_fabric(recipe, devices)
    with named_starter():
        fabric.launch()  # which starts the other processes, unless torchrun has
    if fabric.global_rank == 0:
        run.begin(RunConfig.of(variant, recipe, data), environment(), resume=resume)
    fabric.barrier()
    if run.is_finished:
        return run.result()
    first_process_listener = listener if fabric.global_rank == 0 else None
    return _Training(fabric, variant, recipe, data, run, devices, first_process_listener).result()


@dataclass
class _Training:
    """The training of one run in this process."""

    fabric: Fabric
    variant: Variant
    recipe: Recipe
    data: DataSplits
    run: Run
    devices: TrainingDevices
    listener: ProgressListener | None

    def __post_init__(self) -> None:
        self.unreadable = UnreadablePaths(skip=self.devices.skip_unreadable)
        has_masks = self.data.has_masks
        self.learner = Learner(self.fabric, self.variant, self.recipe, self.run, has_masks=has_masks)
        self.order = self._order(self.data.train, seed=self.recipe.seed)
        self.loader = self._loader(self.data.train, self.order, masks=self.learner.needs_masks)

    def result(self) -> Trained:
        learner, run, is_first = self.learner, self.run, self.fabric.global_rank == 0
        epochs = [epoch for epoch in run.epochs() if epoch.epoch <= learner.finished_epochs]
        decoding_rate = self._decoding_rate() if learner.finished_epochs < self.recipe.epochs else None
        for epoch in range(learner.finished_epochs + 1, self.recipe.epochs + 1):
            trained = self._train_epoch(epoch, epochs[-1].val["auc"] if epochs else None)
            scores = self._validation_scores()
            row = EpochRow(
                epoch=epoch, loss=trained.loss, images_per_s=trained.images_per_s, loader_images_per_s=decoding_rate,
                val=scores,
            )  # fmt: skip
            epochs.append(row)
            if is_first:
                run.save_epochs(epochs)
                run.save_events(row)
                run.save_checkpoint(learner.network, learner.optimiser, epoch)
            if self.listener is not None:
                self.listener(replace(trained, auc=scores["auc"], is_epoch_end=True))
            self.fabric.barrier()
        predictions = self._predictions(self.data.test)
        result = Trained(
            epochs=self.recipe.epochs, images=len(predictions), unreadable=sorted(self.unreadable),
            scores=summary(predictions),
        )  # fmt: skip
        if is_first:
            run.save_model(learner.network, self.recipe.epochs)
            run.save_predictions(predictions)
            run.finish(result)
        self.fabric.barrier()
        return result

    def _train_epoch(self, epoch: int, auc: float | None) -> TrainingProgress:
        """Train for one epoch, counted from 1; returns its mean loss over all processes and its speed.

        The progress of each step repeats ``auc``, that of the last validation.
        """
        self.order.epoch = epoch
        self.learner.start_epoch(epoch)
        losses, images, started = [], 0, time.perf_counter()

        def progress(step: int, loss: float) -> TrainingProgress:
            return TrainingProgress(
                epoch=epoch, epochs=self.recipe.epochs, step=step, steps=len(self.loader), loss=loss,
                images_per_s=images / (time.perf_counter() - started), auc=auc,
            )  # fmt: skip

        for step, batch in enumerate(self.loader, 1):
            self.unreadable.note(batch, self.data.train)
            if len(batch) < 2:  # BatchNorm has no variance of one image
                continue
            losses.append(self.learner.step(batch))
            images += len(batch) * self.fabric.world_size
            if self.listener is not None:
                self.listener(progress(step, float(losses[-1])))
        if not losses:
            raise UnusableData(f"{self.data.name}: fewer than two images of the split train can be read")
        mean_loss = float(cast(Tensor, self.fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")))
        if not np.isfinite(mean_loss):
            raise InvalidValue(f"the loss became {mean_loss} in epoch {epoch}: try a lower --learning-rate")
        return progress(len(self.loader), mean_loss)

    def _decoding_rate(self) -> float:
        """Images a second that the loaders of all processes decode, measured over a few batches without training."""
        started, images = time.perf_counter(), 0
        for step, batch in enumerate(self.loader, 1):
            images += len(batch)
            if step == RATED_BATCHES:
                break
        return images * self.fabric.world_size / (time.perf_counter() - started)

    def _validation_scores(self) -> dict[str, float | None]:
        if not len(self.data.val):
            return dict.fromkeys(METRIC_NAMES)
        predictions = self._predictions(self.data.val)
        return metrics(predictions["score"].to_numpy(dtype=float), predictions["label"].to_numpy(dtype=float))

    def _predictions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The readable rows of ``frame`` with a column ``score``, the probability of fake."""
        loader = self._loader(frame, self._order(frame, seed=None), masks=False)
        return predict(self.fabric, self.learner.model, self.learner.augment, frame, loader, self.unreadable.note)

    def _order(self, frame: pd.DataFrame, *, seed: int | None) -> Order:
        return Order(len(frame), rank=self.fabric.global_rank, processes=self.fabric.world_size, seed=seed)

    def _loader(self, frame: pd.DataFrame, order: Order, *, masks: bool) -> DataLoader[Batch]:
        images = Images(frame, self.data.folder, self.recipe.input_size, masks=masks)
        batch_size = max(1, self.recipe.batch_size // self.fabric.world_size)
        return batches(images, order, batch_size, self.devices.workers)
