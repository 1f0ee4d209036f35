"""Scores of images by a network, whole on every process."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from sfic_bench.backbones.detectors.detection import two_logits
from sfic_bench.data.loader import Batch
from sfic_bench.train.augment import Augment
from sfic_bench.train.scores import Score, summary
from sfic_bench.train.splits import UnreadableData


@torch.no_grad()
def predict(
    fabric: Fabric,
    model: nn.Module,
    augment: Augment,
    frame: pd.DataFrame,
    loader: Any,
    unreadable: Callable[[Batch, pd.DataFrame], object],
) -> pd.DataFrame:
    """Scores of ``frame``'s images; every process has them all, each image once."""
    model.eval()
    augment.eval()
    scores = torch.full((len(frame),), float("nan"), dtype=torch.float64, device=fabric.device)
    for batch in loader:
        unreadable(batch, frame)
        if len(batch):
            logits = two_logits(model(augment(batch.images.to(fabric.device))))
            scores[batch.indices.to(fabric.device)] = logits.double().softmax(dim=1)[:, 1]
    if fabric.world_size > 1:
        # Each image has a score in one process alone.
        known = cast(Tensor, fabric.all_gather(scores))
        scores = torch.nan_to_num(known, nan=0.0).sum(dim=0)
        scores[known.isnan().all(dim=0)] = float("nan")
    found = frame.assign(score=scores.cpu().numpy())
    return found[found["score"].notna()].reset_index(drop=True)


def summary_of(predictions: pd.DataFrame) -> dict[str, dict[str, Score]]:
    """Scores of what could be read.

    Raises:
        UnreadableData: if that is nothing.
    """
    if not len(predictions):
        raise UnreadableData("no image of the split could be read")
    return summary(predictions)


def as_json(scores: Mapping[str, Score]) -> dict[str, Any]:
    """Scores as a result file has them."""
    return {
        name: {"value": s.value, "ci95": None if s.low is None else [s.low, s.high]}
        for name, s in scores.items()
    }
