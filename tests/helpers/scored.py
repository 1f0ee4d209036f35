"""Predictions without a network."""

import numpy as np
import pandas as pd


def scored(images: int = 400, videos: int = 40, *, seed: int = 0, steps: int = 0, lift: float = 0.2) -> pd.DataFrame:
    """Images of as many videos in turns, every second video a fake, with scores on a grid of ``steps``, if given.

    They are of two data sets, of which the first has two compressions and two methods, and the second has one of each.
    """
    rng = np.random.default_rng(seed)
    video = np.arange(images) % videos
    label = video % 2
    score = np.clip(rng.normal(0.5, 0.1, videos)[video] + rng.normal(0, 0.15, images) + lift * (label - 0.5), 0, 1)
    dataset = np.where(video % 5 == 0, "second", "first")
    compression = np.where(dataset == "second", "", np.where(np.arange(images) % 3 == 0, "c40", "c23"))
    method = np.where(label == 0, "", np.where(dataset == "second", "swap", np.where(video % 4 == 1, "a", "b")))
    return pd.DataFrame({
        "score": np.round(score * steps) / steps if steps else score, "label": label, "dataset": dataset,
        "compression": compression, "method": method, "video": [f"v{v:03}" for v in video],
    })  # fmt: skip
