"""Resampling by video equals a slow statement of it, in which each draw is made of images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from helpers.scored import scored
from numpy.typing import NDArray

from sfic_bench.results.scores import Level
from sfic_bench.training import clustered
from sfic_bench.training.clustered import ClusteredScores

DRAWS = 40


def slow(
    runs: Sequence[pd.DataFrame], level: Level, threshold: float, names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """The mean over the drawn runs of each metric of the drawn images, written down one after the other."""
    if level == "video":
        by = ["dataset", "video", "label"]
        runs = [run.groupby(by, as_index=False)["score"].mean() for run in runs]
    parts = [[part for _, part in run.groupby(["dataset", "video", "label"])] for run in runs]
    rng, videos = np.random.default_rng(0), len(parts[0])
    drawn: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(DRAWS):
        chosen, of_runs = rng.integers(videos, size=videos), rng.integers(len(runs), size=len(runs))
        metrics = [one_by_one(pd.concat([parts[run][video] for video in chosen]), threshold) for run in of_runs]
        for name in names:
            drawn[name].append(float(np.mean([of_run[name] for of_run in metrics])))
    return {name: np.array(values) for name, values in drawn.items()}


def one_by_one(images: pd.DataFrame, threshold: float) -> dict[str, float]:
    """The metrics of images, by their definitions."""
    fake, real = (images.loc[images["label"] == label, "score"].to_numpy() for label in (1, 0))
    if not len(fake) or not len(real):
        return dict.fromkeys(("auc", "acc", "bacc", "f1", "fpr", "tpr"), float("nan"))
    tp, fp = (fake > threshold).sum(), (real > threshold).sum()
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / len(fake)
    return {
        "auc": ((fake[:, None] > real).mean() + (fake[:, None] >= real).mean()) / 2,
        "acc": (tp + len(real) - fp) / len(images),
        "bacc": (recall + (len(real) - fp) / len(real)) / 2,
        "f1": 2 * precision * recall / (precision + recall) if tp else 0.0,
        "fpr": fp / len(real),
        "tpr": recall,
    }


@pytest.mark.parametrize("level", ["frame", "video"])
@pytest.mark.parametrize(
    ("images", "videos", "steps", "at_once"),
    [(700, 40, 0, 10**6), (700, 40, 4, 10**6), (700, 40, 1, 7 * 40), (60, 60, 6, 1), (9, 4, 3, 10**6)],
)
def test_draws_equal_those_of_images(
    level: Level, images: int, videos: int, steps: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On 2 or 5 values there are stretches of one score that are longer than 64; 4 videos have draws of one class.
    monkeypatch.setattr(clustered, "RESAMPLES", DRAWS)
    monkeypatch.setattr(clustered, "AT_ONCE", at_once)
    runs = [scored(images, videos, steps=steps, seed=seed) for seed in (1, 2)]
    fast, names = ClusteredScores(runs).bootstrap(level), ("auc", "acc", "bacc", "f1")
    assert tuple(fast) == names
    for name, values in slow(runs, level, 0.5, names).items():
        np.testing.assert_allclose(fast[name], values, rtol=0, atol=1e-12, err_msg=name)
    rates = ("acc", "f1", "fpr", "tpr")
    at = ClusteredScores(runs[:1]).bootstrap_at(level, [0.9, 0.4])
    for threshold, found in zip((0.9, 0.4), at, strict=True):
        for name, values in slow(runs[:1], level, threshold, rates).items():
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12, err_msg=f"{name} at {threshold}")


def test_one_class_has_no_scores() -> None:
    real = scored().query("label == 0")
    assert set(ClusteredScores([real]).means("frame").values()) == {None}
    assert all(np.isnan(values).all() for values in ClusteredScores([real]).bootstrap("video").values())
