"""One pass over the training images, and how fast it is."""

import time

import numpy as np
import torch
from torch.utils.data import DataLoader

from sfic_bench.data.loader import Batch
from sfic_bench.errors import InvalidValue
from sfic_bench.train.learner import Learner
from sfic_bench.train.progress import ProgressListener, TrainingProgress
from sfic_bench.train.splits import DataSplits, UnreadablePaths, UnusableData

RATED_BATCHES = 8
"""Number of batches over which the loader's rate is measured."""


def train_epoch(
    learner: Learner,
    data: DataSplits,
    loader: DataLoader[Batch],
    epoch: int,
    auc: float | None,
    unreadable: UnreadablePaths,
    listener: ProgressListener | None,
) -> TrainingProgress:
    """Train for one epoch, counted from 1; returns its mean loss over all processes and its speed.

    Args:
        learner: the network and what it is trained with.
        data: the splits, which name the training images.
        loader: this process's share of the training images.
        epoch: number of the epoch.
        auc: AUC of the last validation, which the progress of each step repeats.
        unreadable: notes the images that could not be read.
        listener: called after each step.

    Raises:
        UnusableData: if fewer than two images can be read, or for an unreadable image that is not skipped.
        InvalidValue: if the loss is no finite number.
    """
    learner.start_epoch(epoch)
    losses, images, started = [], 0, time.perf_counter()

    def progress(step: int, loss: float) -> TrainingProgress:
        rate = images / (time.perf_counter() - started)
        epochs, steps = learner.recipe.epochs, len(loader)
        return TrainingProgress(
            epoch=epoch, epochs=epochs, step=step, steps=steps, loss=loss, images_per_s=rate, auc=auc
        )

    for step, batch in enumerate(loader, 1):
        unreadable.note(batch, data.train)
        if len(batch) < 2:  # BatchNorm has no variance of one image
            continue
        losses.append(learner.step(batch))
        images += len(batch) * learner.fabric.world_size
        if listener is not None:
            listener(progress(step, float(losses[-1])))
    if not losses:
        raise UnusableData(f"{data.name}: fewer than two images of the split train can be read")
    mean = learner.mean_over_processes(torch.stack(losses).mean())
    if not np.isfinite(mean):
        raise InvalidValue(f"the loss became {mean} in epoch {epoch}: try a lower --learning-rate")
    return progress(len(loader), mean)


def decoding_rate(loader: DataLoader[Batch], processes: int) -> float:
    """Images a second that ``processes`` loaders decode, measured over a few batches without any training."""
    started, images = time.perf_counter(), 0
    for step, batch in enumerate(loader, 1):
        images += len(batch)
        if step == RATED_BATCHES:
            break
    return images * processes / (time.perf_counter() - started)
