"""The images on which the scales of int8 are found."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from sfic_bench.data.loader import Images, Order, batches
from sfic_bench.errors import InvalidValue
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.splits import UnreadablePaths


def evenly(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """``count`` rows of ``frame`` at even steps, or all if there are fewer.

    Raises:
        InvalidValue: if ``count`` is not above 0.
    """
    if count < 1:
        raise InvalidValue(f"the number of calibration images must be at least 1, got {count}")
    steps = min(count, len(frame))
    return frame.iloc[[i * len(frame) // steps for i in range(steps)]].reset_index(drop=True)


def inputs_of(
    network: TrainedNetwork, frame: pd.DataFrame, folder: Path, unreadable: UnreadablePaths, workers: int = 0
) -> Iterator[Tensor]:
    """The images of ``frame`` in batches ``[B, 3, S, S]``, as ``network`` reads them, without unreadable ones.

    Raises:
        UnusableData: for an image that cannot be read, unless ``unreadable`` skips such images.
    """
    recipe = network.recipe
    images = Images(frame, folder, recipe.input_size, draft=recipe.draft)
    for batch in batches(images, Order(len(frame)), recipe.batch_size, workers):
        unreadable.note(batch, frame)
        if len(batch):
            with torch.no_grad():
                yield network.augment(batch.images)
