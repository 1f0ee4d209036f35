"""How far a training is, for whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingProgress:
    """The state of a training after a step, and once more after the validation at the end of an epoch.

    Attributes:
        epoch: the current epoch, counted from 1.
        epochs: number of epochs.
        step: the last step of this epoch, counted from 1.
        steps: number of steps of an epoch.
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
"""A function that a training calls with its progress, in the first process alone."""
