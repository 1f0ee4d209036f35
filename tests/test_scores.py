"""The metrics of predictions and their intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from sfic_bench.results.scores import Metrics
from sfic_bench.statistics.interval import Interval
from sfic_bench.train.scores import metrics, over_seeds, summary


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60))
def test_metrics_are_scikit_learns(pairs: list[tuple[int, bool]]) -> None:
    score = np.array([s / 6 for s, _ in pairs])  # many ties
    label = np.array([float(fake) for _, fake in pairs])
    scores = metrics(score, label)
    if len(set(label)) < 2:
        assert set(scores.values()) == {None}
        return
    assert scores["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, score), abs=1e-6)
    assert scores["ap"] == pytest.approx(sklearn_metrics.average_precision_score(label, score), abs=1e-6)
    assert scores["bacc"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(label, score > 0.5), abs=1e-6)
    fpr, tpr, _ = sklearn_metrics.roc_curve(label, score, drop_intermediate=False)
    assert scores["tpr_at_fpr_1e-2"] == pytest.approx(max(tpr[fpr <= 0.01]), abs=1e-6)
    curve = np.linspace(0, 1, 100_001)
    misses = 1 - np.interp(curve, fpr, tpr)
    assert scores["eer"] is not None
    assert min(abs(misses - curve)[abs(curve - scores["eer"]) < 2e-5], default=0) < 0.6  # on the curve
    # The bootstrap's own AUC and balanced accuracy are the same.
    frame = pd.DataFrame({"score": score, "label": label, "dataset": "x", "video": np.arange(len(score))})
    assert interval(over_seeds([frame]), "auc").estimate == pytest.approx(scores["auc"], abs=1e-6)
    assert interval(over_seeds([frame]), "bacc").estimate == pytest.approx(scores["bacc"], abs=1e-6)


def interval(scores: Metrics, name: str) -> Interval:
    """A metric that is known, since both classes are present."""
    metric = scores[name]
    assert metric is not None
    return metric


def test_equal_error_rate() -> None:
    score, label = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    assert metrics(score, label)["eer"] == pytest.approx(0.5)
    assert metrics(label * 0.8 + 0.1, label)["eer"] == 0


def test_videos_are_scored_by_the_mean_of_their_images_and_resampled_whole() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"v{v}", v % 2, np.clip(0.5 + 0.1 * (v % 2) + centre + rng.normal(0, 0.01), 0, 1))
            for v in range(20) for centre in [rng.normal(0, 0.1)] for _ in range(30)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["video", "label", "score"]).assign(dataset="x")
    scores = summary(frame)
    assert interval(scores["video"], "auc").estimate == pytest.approx(
        sklearn_metrics.roc_auc_score(*frame.groupby("video")[["label", "score"]].mean().to_numpy().T)
    )
    # 600 images are no more than 20 videos: taking them for independent would give a fifth of this.
    auc = interval(scores["frame"], "auc")
    assert auc.low is not None and auc.high is not None and auc.high - auc.low > 0.2


def test_seeds_and_a_baseline() -> None:
    rng = np.random.default_rng(1)
    label = np.arange(200) % 2

    def run(lift: float) -> pd.DataFrame:
        return pd.DataFrame({"score": np.clip(rng.normal(0.5, 0.15, 200) + lift * label, 0, 1), "label": label,
                             "dataset": "x", "video": np.arange(200)})  # fmt: skip

    better, worse = [run(0.3) for _ in range(3)], [run(0.05) for _ in range(3)]
    gain = interval(over_seeds(better, worse), "auc")
    assert gain.low is not None and gain.low > 0
    same = interval(over_seeds(worse, worse), "auc")
    assert same.estimate == 0 and same.low == same.high == 0
