"""The metrics of predictions and their intervals."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import binary_calibration_error

from sfic_bench.networks.variant import Variant
from sfic_bench.results.scores import Metrics
from sfic_bench.statistics.interval import Interval
from sfic_bench.training.accuracy import ExperimentRuns, RowMaker, rows_of
from sfic_bench.training.clustered import ClusteredScores
from sfic_bench.training.scores import calibration_error, metrics, over_seeds, reliability, summary


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
    assert scores["acc"] == pytest.approx(sklearn_metrics.accuracy_score(label, score > 0.5), abs=1e-12)
    assert scores["f1"] == pytest.approx(sklearn_metrics.f1_score(label, score > 0.5, zero_division=0), abs=1e-12)
    fpr, tpr, _ = sklearn_metrics.roc_curve(label, score, drop_intermediate=False)
    for rate in ("5e-2", "1e-2", "1e-3"):
        assert scores[f"tpr_at_fpr_{rate}"] == pytest.approx(max(tpr[fpr <= float(rate)]), abs=1e-6)
    curve = np.linspace(0, 1, 100_001)
    misses = 1 - np.interp(curve, fpr, tpr)
    assert scores["eer"] is not None
    assert min(abs(misses - curve)[abs(curve - scores["eer"]) < 2e-5], default=0) < 0.6  # on the curve
    # The bootstrap's own scores are the same.
    frame = pd.DataFrame({"score": score, "label": label, "dataset": "x", "video": np.arange(len(score))})
    for name, mean in ClusteredScores([frame]).means("frame").items():
        assert mean == pytest.approx(scores[name], abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1) | st.integers(0, 30).map(lambda i: i / 30), st.booleans()), min_size=1))
def test_calibration_is_that_of_an_independent_binning(pairs: list[tuple[float, bool]]) -> None:
    score, label = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    edges = [i / 15 for i in range(16)]  # NumPy's bins have their lower edge, and the last one both
    images, sums, fakes = (np.histogram(score, edges, weights=w)[0] for w in (np.ones(len(score)), score, label))
    bins = reliability(pd.DataFrame({"score": score, "label": label}))
    kept = images > 0
    assert [of.images for of in bins] == images[kept].tolist()
    assert [of.mean for of in bins] == pytest.approx(sums[kept] / images[kept])
    assert [of.fakes for of in bins] == pytest.approx(fakes[kept] / images[kept])
    assert [(of.low, of.high) for of in bins] == [(edges[i], edges[i + 1]) for i in np.flatnonzero(kept)]
    error = float(abs(fakes - sums).sum() / len(score))
    assert calibration_error(bins) == pytest.approx(error, abs=1e-12)
    if 0 < label.sum() < len(label):
        assert metrics(score, label)["ece"] == pytest.approx(error, abs=1e-12)


def test_calibration_is_torchmetrics_off_the_edges_and_whole_at_probabilities_of_one() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(500)
    label = (rng.random(500) < score**2).astype(float)
    torchs = binary_calibration_error(torch.tensor(score), torch.tensor(label).long(), n_bins=15)
    assert metrics(score, label)["ece"] == pytest.approx(float(torchs), abs=1e-6)
    # One bin has 0.95 (fake) and 1 (real), off by |1/2 − 0.975|; torchmetrics' two bins are off by 0.05 and by 1.
    assert metrics(np.array([0.95, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]))["ece"] == pytest.approx(0.95 / 3)


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


def test_networks_differ_from_their_own_vanilla_network_or_from_a_chosen_one() -> None:
    rng = np.random.default_rng(2)
    label = np.arange(300) % 2

    def group(backbone: str, lift: float, alpha: float | None = None) -> ExperimentRuns:
        score = np.clip(rng.normal(0.5, 0.15, 300) + lift * label, 0, 1)
        frame = pd.DataFrame({"score": score, "label": label, "dataset": "x", "video": np.arange(300)})
        variant = Variant(backbone=backbone, alpha=alpha, beta=alpha)
        return ExperimentRuns(variant=variant, train_on="x", test_on="x", runs=[frame])

    groups = [group("rival", 0.1), group("resnet26", 0.2), group("resnet26", 0.3, 0.5)]
    alone, vanilla, sfic = rows_of(groups)
    assert alone.auc_over_vanilla is None and vanilla.auc_over_vanilla is None
    assert sfic.auc_over_vanilla == over_seeds(groups[2].runs, groups[1].runs)["auc"] and sfic.against is None
    maker = RowMaker("rival")
    alone, vanilla, sfic = map(maker.row, groups)
    assert alone.auc_over_vanilla is None and alone.against is None
    assert vanilla.auc_over_vanilla == over_seeds(groups[1].runs, groups[0].runs)["auc"]
    assert sfic.auc_over_vanilla == over_seeds(groups[2].runs, groups[0].runs)["auc"]
    assert vanilla.against == sfic.against == "rival"


def test_groups_are_resampled_whole() -> None:
    rng = np.random.default_rng(3)
    count = 300
    difficulty = np.repeat(rng.normal(size=count), 2)  # of an original and its fake alike
    label = np.tile([0, 1], count)
    frame = pd.DataFrame({
        "dataset": "x", "video": [f"v{i}" for i in range(2 * count)], "label": label,
        "score": 1 / (1 + np.exp(-(difficulty + 0.5 * label + 0.1 * rng.normal(size=2 * count)))),
    })  # fmt: skip
    grouped = frame.assign(group=[f"g{i // 2}" for i in range(2 * count)])
    assert ClusteredScores([grouped]).clusters == count
    alone, together = (summary(rows)["video"]["auc"] for rows in (frame, grouped))
    assert alone and together and alone.estimate == together.estimate
    # An original and its fake come together, so that what they have in common does not widen the interval.
    assert together.low is not None and together.high is not None and alone.low is not None and alone.high is not None
    assert together.high - together.low < 0.6 * (alone.high - alone.low)
    assert summary(frame.assign(group="")) == summary(frame)
