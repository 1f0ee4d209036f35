"""Training and scoring on any device, one or several, with Lightning Fabric.

The same seed gives the same weights on a CPU: order, augmentation and dropout depend only on seed and epoch, so that
a run that is resumed after epoch k equals a run that was never interrupted.
"""

import time
from collections.abc import Callable, Mapping
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
from sfic_bench.networks.normalisation import IMAGENET
from sfic_bench.networks.variant import Variant
from sfic_bench.processes import end_with_starter, named_starter
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import EpochRow, Trained
from sfic_bench.training.checkpoint import Tensors
from sfic_bench.training.config import RunConfig, StartRecord
from sfic_bench.training.inference import predict
from sfic_bench.training.learner import Learner, check_machine, new_fabric
from sfic_bench.training.loggers import loggers_of
from sfic_bench.training.logs import LoggedRun, LoggerMaker, Logs, logs_of
from sfic_bench.training.recipe import Keep, Recipe, TrainingDevices
from sfic_bench.training.runs import VALIDATION, Run, UnusableRun
from sfic_bench.training.scores import METRIC_NAMES, metrics, summary
from sfic_bench.training.splits import DataSplits, UnreadablePaths, UnusableData
from sfic_bench.training.starts import start_of
from sfic_bench.training.thresholds import chosen_thresholds

RATED_BATCHES = 8
"""The number of batches over which the loader's rate is measured."""

READ_EVERY_S = 0.2
"""How often a listener gets the loss: reading it makes the CPU wait for the device."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingProgress:
    """The state of a training after a step, and once more after the validation at the end of an epoch.

    Attributes:
        epoch, step: the current epoch, and its last finished step, both counted from 1.
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
    loggers: Mapping[str, LoggerMaker] | None = None,
) -> Trained:
    """Train one network and score it on the test split; returns the contents of the run's ``result.json``.

    ``loggers`` has what makes the loggers of the run, by the names that warnings give them; the default is what
    `sfic_bench.training.loggers.loggers_of` gives without names. A run that is finished is not logged again.

    Raises:
        UnusableRun: see `Run.begin`.
        UnusableData: if fewer than two training images or no test image can be read, for any image that cannot be
            read, unless such images are skipped, and if the best epoch is to be kept and no AUC tells it.
        InvalidValue: if this machine lacks what the training needs, for first weights that cannot be used, or if the
            loss is no finite number.
    """
    end_with_starter()
    if (recipe.keep is Keep.BEST or recipe.patience) and data.val["label"].nunique() < 2:
        raise UnusableData(
            f"{data.name}: --keep best and --patience need a validation split with real and fake images; give the "
            "manifest one, or use --keep last without --patience"
        )
    if not run.is_finished:
        check_machine(variant, recipe, devices, training=True)
    fabric = new_fabric(recipe, devices)
    with named_starter():
        fabric.launch()  # which starts the other processes, unless torchrun has
    is_first, has_begun = fabric.global_rank == 0, run.has_checkpoint or run.is_finished
    # A run that has begun needs its first weights no more, and they may be gone.
    start = None if has_begun else start_of(recipe.init, variant)
    record = run.config().start if has_begun else None
    normalisation = start.normalisation if start else record.normalisation if record else IMAGENET
    # The network is built before the folder, which keeps nothing of a training that cannot begin.
    learner = None
    if not run.is_finished:
        learner = Learner(fabric, variant, recipe, start=start, normalisation=normalisation, has_masks=data.has_masks)
        record = StartRecord.of(start, learner.fresh) if start else record
    fabric.barrier()  # whether the run has begun must look alike to all processes
    facts: dict[str, object] = {}
    if is_first:
        config = RunConfig.of(variant, recipe, data, record)
        run.begin(config, environment(), resume=resume)
        facts = config.facts()
    fabric.barrier()
    if learner is None:
        return run.result()
    training = _Training(fabric, learner, recipe, data, run, devices, listener if is_first else None)
    makers = loggers_of() if loggers is None else loggers
    name = f"{variant}, {data.name}, seed {recipe.seed}"
    logged = LoggedRun(folder=run.folder, name=name, epochs=len(training.epochs))
    with logs_of(makers if is_first else {}, logged, facts) as logs:
        return training.result(logs)


@dataclass
class _Training:
    """The training of one run in this process."""

    fabric: Fabric
    learner: Learner
    recipe: Recipe
    data: DataSplits
    run: Run
    devices: TrainingDevices
    listener: ProgressListener | None

    def __post_init__(self) -> None:
        self.unreadable = UnreadablePaths(skip=self.devices.skip_unreadable)
        self.epochs: list[EpochRow] = []
        self.best: Tensors = {}
        if self.run.has_checkpoint:
            self._resume()
        self.order = self._order(self.data.train, seed=self.recipe.seed)
        self.loader = self._loader(self.data.train, self.order, masks=self.learner.needs_masks)

    def _resume(self) -> None:
        checkpoint = self.run.checkpoint(self.recipe.epochs)
        self.epochs = [row for row in self.run.epochs() if row.epoch <= checkpoint.epoch]
        self.best = checkpoint.best
        try:
            self.learner.restore(checkpoint)
            if len(self.epochs) != checkpoint.epoch or (self._keeps_best and checkpoint.best_epoch != self._best_epoch):
                raise ValueError("metrics.jsonl has other epochs than the checkpoint")
        except ValueError as error:
            raise UnusableRun(f"{self.run.folder / 'checkpoint.safetensors'}: {error}") from None

    @property
    def _keeps_best(self) -> bool:
        return self.recipe.keep is Keep.BEST

    @property
    def _best_epoch(self) -> int | None:
        """The epoch with the highest AUC on the validation split so far, the first of several."""
        aucs = [(row.val["auc"], -row.epoch) for row in self.epochs if row.val.get("auc") is not None]
        return -max(aucs)[1] if aucs else None

    @property
    def _is_over(self) -> bool:
        done, patience = len(self.epochs), self.recipe.patience
        return done >= self.recipe.epochs or bool(patience and done - (self._best_epoch or 0) >= patience)

    def result(self, logs: Logs) -> Trained:
        learner, run, is_first = self.learner, self.run, self.fabric.global_rank == 0
        decoding_rate = None if self._is_over else self._decoding_rate()
        while not self._is_over:
            epoch = len(self.epochs) + 1
            trained = self._train_epoch(epoch, self.epochs[-1].val["auc"] if self.epochs else None)
            with learner.averaged():
                scores = self._validation_scores()
            row = EpochRow(
                epoch=epoch, loss=trained.loss, images_per_s=trained.images_per_s, loader_images_per_s=decoding_rate,
                val=scores,
            )  # fmt: skip
            self.epochs.append(row)
            if self._keeps_best and self._best_epoch == epoch:
                self.best = learner.weights()
            if is_first:
                run.save_epochs(self.epochs)
                logs.epoch(row, self.recipe.learning_rate_at(epoch - 0.5))
                run.save_checkpoint(learner.checkpoint(epoch, self.best, self._best_epoch))
            if self.listener is not None:
                self.listener(replace(trained, auc=scores["auc"], is_epoch_end=True))
            self.fabric.barrier()
        weights, kept_epoch = (self.best, self._best_epoch) if self._keeps_best else (learner.weights(), None)
        learner.network.load_state_dict(weights)
        predictions, validated = self._predictions(self.data.test), self._predictions(self.data.val)
        result = Trained(
            epochs=len(self.epochs), kept_epoch=kept_epoch, images=len(predictions), unreadable=sorted(self.unreadable),
            scores=summary(predictions), thresholds=chosen_thresholds(validated),
        )  # fmt: skip
        if is_first:
            run.save_model(weights, kept_epoch or len(self.epochs))
            run.save_predictions(predictions)
            run.save_predictions(validated, VALIDATION)
            logs.finished(result)
            run.finish(result)
        self.fabric.barrier()
        return result

    def _train_epoch(self, epoch: int, auc: float | None) -> TrainingProgress:
        """Train for one epoch, counted from 1; returns its mean loss over all processes and its speed.

        The progress of each step repeats ``auc``, that of the last validation.
        """
        self.order.epoch = epoch
        self.learner.start_epoch(epoch)
        losses, images, steps = [], 0, len(self.loader)
        started = read = time.perf_counter()

        def progress(step: int, loss: float) -> TrainingProgress:
            return TrainingProgress(
                epoch=epoch, epochs=self.recipe.epochs, step=step, steps=steps, loss=loss,
                images_per_s=images / (time.perf_counter() - started), auc=auc,
            )  # fmt: skip

        for step, batch in enumerate(self.loader, 1):
            self.unreadable.note(batch, self.data.train)
            if len(batch) < 2:  # BatchNorm has no variance of one image
                continue
            losses.append(self.learner.step(batch, epoch - 1 + (step - 0.5) / steps))
            images += len(batch) * self.fabric.world_size
            if self.listener is not None and (step == 1 or time.perf_counter() - read > READ_EVERY_S):
                self.listener(progress(step, float(losses[-1])))
                read = time.perf_counter()
        if not losses:
            raise UnusableData(f"{self.data.name}: fewer than two images of the split train can be read")
        mean_loss = float(cast(Tensor, self.fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")))
        if not np.isfinite(mean_loss):
            raise InvalidValue(f"the loss became {mean_loss} in epoch {epoch}: try a lower --learning-rate")
        return progress(steps, mean_loss)

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
        if not len(frame):  # so that no process waits for others over nothing
            return frame.assign(score=0.0)
        loader = self._loader(frame, self._order(frame, seed=None), masks=False)
        return predict(self.fabric, self.learner.model, self.learner.augment, frame, loader, self.unreadable.note)

    def _order(self, frame: pd.DataFrame, *, seed: int | None) -> Order:
        return Order(len(frame), rank=self.fabric.global_rank, processes=self.fabric.world_size, seed=seed)

    def _loader(self, frame: pd.DataFrame, order: Order, *, masks: bool) -> DataLoader[Batch]:
        images = Images(frame, self.data.folder, self.recipe.input_size, masks=masks, draft=self.recipe.draft)
        batch_size = max(1, self.recipe.batch_size // self.fabric.world_size)
        return batches(images, order, batch_size, self.devices.workers)
