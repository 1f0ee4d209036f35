"""Thresholds are the best of all that divide the validation images, and are used as they were chosen."""

import numpy as np
import pandas as pd
import pytest
from helpers.scored import scored
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from sfic_bench.choices import ThresholdRule
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.results.scores import Thresholds
from sfic_bench.training.thresholds import NoThreshold, at_thresholds, chosen_thresholds, named_threshold

Images = list[tuple[float, bool]]


def frame_of(images: Images) -> pd.DataFrame:
    return pd.DataFrame({"score": [score for score, _ in images], "label": [int(fake) for _, fake in images]})


def rates(images: pd.DataFrame, threshold: float) -> tuple[float, float]:
    """FPR and TPR where more than ``threshold`` is called fake."""
    called: NDArray[np.bool_] = images["score"].to_numpy() > threshold
    label = images["label"].to_numpy()
    return called[label == 0].mean(), called[label == 1].mean()


@given(st.lists(st.tuples(st.sampled_from([i / 9 for i in range(10)]) | st.floats(0, 1), st.booleans()), max_size=80))
def test_thresholds_are_the_best_there_are(pairs: Images) -> None:
    images = frame_of(pairs)
    thresholds = chosen_thresholds(images)
    if not pairs:
        assert thresholds is None
        return
    assert thresholds is not None and thresholds.images == len(pairs)
    if images["label"].nunique() < 2:
        assert thresholds.values == dict.fromkeys(ThresholdRule)
        return
    values = {rule: value for rule, value in thresholds.values.items() if value is not None}
    assert values.keys() == set(ThresholdRule) and all(0 <= value <= 1 for value in values.values())
    every = [rates(images, score) for score in images["score"]]
    fpr, tpr = rates(images, values[ThresholdRule.EER])
    assert abs(fpr - (1 - tpr)) == pytest.approx(min(abs(f - (1 - t)) for f, t in every))
    fpr, tpr = rates(images, values[ThresholdRule.YOUDEN])
    assert tpr - fpr == pytest.approx(max(t - f for f, t in every))
    for rule, most in ((ThresholdRule.FPR_1, 0.01), (ThresholdRule.FPR_5, 0.05)):
        fpr, tpr = rates(images, values[rule])
        assert fpr <= most and tpr == max(t for f, t in every if f <= most)


def test_a_rate_of_false_alarms_is_reached_exactly() -> None:
    score = np.arange(200) / 200
    images = pd.DataFrame({"score": np.append(score, 0.9999), "label": [0] * 200 + [1]})
    thresholds = chosen_thresholds(images)
    assert thresholds is not None
    fpr_1, fpr_5 = (thresholds.values[rule] for rule in (ThresholdRule.FPR_1, ThresholdRule.FPR_5))
    assert fpr_1 == pytest.approx(197.5 / 200)  # 2 of 200 are above it, and 10 above the other
    assert fpr_5 == pytest.approx(189.5 / 200)


def test_neighbouring_numbers_are_told_apart() -> None:
    low, high = 0.5, float(np.nextafter(0.5, 1))
    thresholds = chosen_thresholds(frame_of([(low, False), (high, True)]))
    assert thresholds is not None and set(thresholds.values.values()) == {low}


def test_scores_at_thresholds_are_scikit_learns_and_have_intervals() -> None:
    images = scored(600, 60)
    thresholds = Thresholds(images=9, values={ThresholdRule.EER: 0.43, ThresholdRule.FPR_1: None})
    found = at_thresholds(images, thresholds)
    assert list(found) == [ThresholdRule.EER]
    of_video = images.groupby(["dataset", "video", "label"], as_index=False)["score"].mean()
    for level, rows in (("frame", images), ("video", of_video)):
        called, scores = rows["score"] > 0.43, found[ThresholdRule.EER][level]  # type: ignore[index]
        (tn, fp), (fn, tp) = sklearn_metrics.confusion_matrix(rows["label"], called)
        expected = {
            "acc": sklearn_metrics.accuracy_score(rows["label"], called),
            "f1": sklearn_metrics.f1_score(rows["label"], called),
            "fpr": fp / (fp + tn),
            "tpr": tp / (tp + fn),
        }
        for name, value in expected.items():
            interval = scores[name]
            assert interval is not None and interval.estimate == pytest.approx(value), name
            assert interval.contains(value) and interval.low != interval.high, name
    assert at_thresholds(images, None) == {}
    one_class = at_thresholds(images.query("label == 1"), thresholds)
    assert set(one_class[ThresholdRule.EER]["frame"].values()) == {None}


def test_thresholds_are_named_or_numbers() -> None:
    thresholds = Thresholds(images=9, values={ThresholdRule.EER: 0.25, ThresholdRule.YOUDEN: None})
    assert named_threshold(thresholds, "eer", "run") == ("eer", 0.25)
    assert named_threshold(None, "0.7", "run") == ("0.7", 0.7) == named_threshold(thresholds, 0.7, "run")
    for wanted in ("1.5", "nan", "-inf", -0.1):
        with pytest.raises(InvalidValue, match="a threshold must be a probability from 0 to 1, got"):
            named_threshold(thresholds, wanted, "run")
    with pytest.raises(UnknownName, match="unknown threshold 'fpr1'; did you mean 'fpr-1'"):
        named_threshold(thresholds, "fpr1", "run")
    with pytest.raises(NoThreshold, match="run has no threshold eer: it was trained without validation images, or by"):
        named_threshold(None, "eer", "run")
    for undefined in ("youden", "fpr-1"):
        with pytest.raises(NoThreshold, match="its validation images are all real or all fake; give a number"):
            named_threshold(thresholds, undefined, "run")
