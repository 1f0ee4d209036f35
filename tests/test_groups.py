"""Scores of parts of the images."""

import pandas as pd
from helpers.scored import scored

from sfic_bench.training.groups import score_groups
from sfic_bench.training.scores import summary


def rows_of(images: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The images of each group of `scored`, in words of its columns."""
    first = images.query("dataset == 'first'")
    return {
        ("dataset", "first"): first,
        ("dataset", "second"): images.query("dataset == 'second'"),
        ("compression", "c23"): images.query("compression == 'c23'"),
        ("compression", "c40"): images.query("compression == 'c40'"),
        ("method", "a"): first.query("label == 0 or method == 'a'"),
        ("method", "b"): first.query("label == 0 or method == 'b'"),
        ("method", "swap"): images.query("dataset == 'second'"),
    }


def test_each_value_of_each_column_has_its_scores() -> None:
    images = scored(600, 40)
    groups = {(str(group.by), group.name): group for group in score_groups(images)}
    expected = rows_of(images)
    assert list(groups) == list(expected)
    for key, rows in expected.items():
        assert groups[key].images == len(rows) > 0, key
        assert groups[key].scores == summary(rows), key


def test_a_method_of_one_compression_meets_the_real_images_of_that_one() -> None:
    images = scored(600, 40).query("dataset == 'first'")
    images = images[(images["method"] != "a") | (images["compression"] == "c40")]
    (group,) = (group for group in score_groups(images) if group.name == "a")
    assert group.images == len(images.query("compression == 'c40' and (label == 0 or method == 'a')"))


def test_what_has_one_value_or_none_is_no_group() -> None:
    images = scored(200, 40).assign(dataset="x", compression="")
    fakes = images["label"] == 1
    assert score_groups(images.assign(method=fakes.map({True: "a", False: ""}))) == []
    missing = images.assign(method=None, compression=None)
    assert score_groups(missing) == []
    assert {group.name for group in score_groups(images.assign(dataset=["x\x1b"] * 100 + ["y"] * 100))} >= {"x\\x1b"}
