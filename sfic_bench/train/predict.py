"""Scores of images by a network, complete in every process."""

from collections.abc import Callable
from typing import cast

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sfic_bench.data.loader import Batch
from sfic_bench.networks.detectors.detection import two_logits
from sfic_bench.results.scores import Metrics
from sfic_bench.train.augment import Augment
from sfic_bench.train.scores import summary
from sfic_bench.train.splits import UnusableData


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
        model: the network, set up by ``fabric``; it is put into evaluation mode.
        augment: makes the network's input of images; it is put into evaluation mode.
        frame: rows of a manifest.
        loader: this process's share of ``frame``.
        note_unreadable: called with each batch and ``frame``.
    """
    model.eval()
    augment.eval()
    scores = torch.full((len(frame),), float("nan"), dtype=torch.float64, device=fabric.device)
    for batch in loader:
        note_unreadable(batch, frame)
        if len(batch):
            logits = two_logits(model(augment(batch.images.to(fabric.device))))
            scores[batch.indices.to(fabric.device)] = logits.double().softmax(dim=1)[:, 1]
    if fabric.world_size > 1:
        # Only one process has the score of an image.
        known = cast(Tensor, fabric.all_gather(scores))
        scores = torch.nan_to_num(known, nan=0.0).sum(dim=0)
        scores[known.isnan().all(dim=0)] = float("nan")
    scored = frame.assign(score=scores.cpu().numpy())
    return scored[scored["score"].notna()].reset_index(drop=True)


def summary_of(predictions: pd.DataFrame) -> dict[str, Metrics]:
    """The metrics of all images that could be read; see `summary`.

    Raises:
        UnusableData: if no image could be read.
    """
    if not len(predictions):
        raise UnusableData("no image of the split could be read")
    return summary(predictions)
