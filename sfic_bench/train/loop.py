"""Training and scoring on any device, one or several, with Lightning Fabric.

The same seed gives the same weights on a CPU: order, augmentation and dropout follow from seed and epoch alone, so
that a run that is resumed after epoch k equals a run that was never interrupted.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pandas as pd
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from sfic_bench.data.loader import Batch, Images, Order, batches
from sfic_bench.networks.variant import Variant
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import EpochRow, Trained
from sfic_bench.train.epoch import decoding_rate, train_epoch
from sfic_bench.train.events import write_events
from sfic_bench.train.learner import Learner
from sfic_bench.train.predict import predict, summary_of
from sfic_bench.train.progress import ProgressListener
from sfic_bench.train.recipe import Precision, Recipe, TrainingDevices
from sfic_bench.train.runs import Run, RunConfig
from sfic_bench.train.scores import METRIC_NAMES, metrics
from sfic_bench.train.splits import DataSplits, UnreadablePaths

FABRIC_PRECISIONS: Mapping[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    Precision.FP32: "32-true",
    Precision.BF16: "bf16-mixed",
    Precision.FP16: "16-mixed",
}
"""Lightning Fabric's names of our precisions."""


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
        UnusableData: for an image that cannot be read, unless such images are skipped.
    """
    fabric = Fabric(
        accelerator=devices.device,
        devices=devices.devices,
        num_nodes=devices.hosts,
        precision=FABRIC_PRECISIONS[recipe.precision],
    )
    fabric.launch()
    if fabric.global_rank == 0:
        images = {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
        config = RunConfig(variant=variant, recipe=recipe, data=data.name, images=images)
        run.begin(config, environment(), resume=resume)
    fabric.barrier()
    if run.is_finished:
        return run.result()
    return _Training(fabric, variant, recipe, data, run, devices, listener).result()


class _Training:
    """The training of one run in this process."""

    def __init__(
        self,
        fabric: Fabric,
        variant: Variant,
        recipe: Recipe,
        data: DataSplits,
        run: Run,
        devices: TrainingDevices,
        listener: ProgressListener | None,
    ) -> None:
        self.fabric, self.recipe, self.data, self.run = fabric, recipe, data, run
        self.workers = devices.workers
        self.listener = listener if fabric.global_rank == 0 else None
        self.unreadable = UnreadablePaths(skip=devices.skip_unreadable)
        self.learner = Learner(fabric, variant, recipe, run)
        self.order = self._order(data.train, seed=recipe.seed)
        self.loader = self._loader(data.train, self.order, masks=self.learner.needs_masks)

    def result(self) -> Trained:
        finished = self.learner.finished_epochs
        epochs = [epoch for epoch in self.run.epochs() if epoch.epoch <= finished]
        decoded = None
        if finished < self.recipe.epochs:
            decoded = decoding_rate(self.loader, self.fabric.world_size)
        for epoch in range(finished + 1, self.recipe.epochs + 1):
            auc = epochs[-1].val["auc"] if epochs else None
            self.order.epoch = epoch
            trained = train_epoch(self.learner, self.data, self.loader, epoch, auc, self.unreadable, self.listener)
            scores = self._validation_scores()
            epochs.append(
                EpochRow(
                    epoch=epoch, loss=trained.loss, images_per_s=trained.images_per_s, loader_images_per_s=decoded,
                    val=scores,
                )
            )  # fmt: skip
            if self.fabric.global_rank == 0:
                self.run.save_epochs(epochs)
                write_events(self.run.folder / "events", epochs[-1])
                self.run.save_checkpoint(self.learner.network, self.learner.optimiser, epoch)
            if self.listener is not None:
                self.listener(replace(trained, auc=scores["auc"], is_epoch_end=True))
            self.fabric.barrier()
        predictions = self._predictions(self.data.test)
        result = Trained(
            epochs=self.recipe.epochs, images=len(predictions), unreadable=sorted(self.unreadable),
            scores=summary_of(predictions),
        )  # fmt: skip
        if self.fabric.global_rank == 0:
            self.run.save_model(self.learner.network, self.recipe.epochs)
            self.run.save_predictions(predictions)
            self.run.finish(result)
        self.fabric.barrier()
        return result

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
        fabric = self.fabric
        return Order(len(frame), rank=fabric.global_rank, processes=fabric.world_size, seed=seed)

    def _loader(self, frame: pd.DataFrame, order: Order, *, masks: bool) -> DataLoader[Batch]:
        images = Images(frame, self.data.folder, self.recipe.input_size, masks=masks)
        batch_size = max(1, self.recipe.batch_size // self.fabric.world_size)
        return batches(images, order, batch_size, self.workers)
