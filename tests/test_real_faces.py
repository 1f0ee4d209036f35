"""The draw of real faces, from made-up metadata."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "real_faces.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    names = runpy.run_path(str(SCRIPT))
    names["ORIGINALS"].update(train=5, val=2, test=3)
    return names


@pytest.fixture(scope="module")
def videos() -> pd.DataFrame:
    """12 originals with two fakes each, one original without a fake, and a fake whose original is not there."""
    rows: list[tuple[str, str, str | None]] = [(f"real{i}.mp4", "REAL", None) for i in range(13)]
    rows += [(f"fake{i}-{j}.mp4", "FAKE", f"real{i}.mp4") for i in range(12) for j in range(2)]
    rows += [("lost.mp4", "FAKE", "gone.mp4")]
    return pd.DataFrame(rows, columns=["videoname", "label", "original"])


def test_each_original_gives_a_pair_in_one_split(script: dict[str, Any], videos: pd.DataFrame) -> None:
    drawn: Callable[[pd.DataFrame], pd.DataFrame] = script["drawn"]
    frame = drawn(videos)
    assert frame.equals(drawn(videos.sample(frac=1, random_state=1)))  # the order of the metadata does not matter
    assert frame.groupby(["split", "label"]).size().to_dict() == {
        (split, label): count for split, count in (("train", 5), ("val", 2), ("test", 3)) for label in (0, 1)
    }
    for group, rows in frame.groupby("group"):
        assert rows["label"].tolist() == [0, 1] and rows["split"].nunique() == 1
        number = str(group).removeprefix("real").removesuffix(".mp4")
        real, fake = rows["path"].astype(str)
        assert real == f"faces_224/real{number}.jpg" and fake.startswith(f"faces_224/fake{number}-")


def test_shuffled_labels_stay_balanced_in_each_pair(script: dict[str, Any], videos: pd.DataFrame) -> None:
    frame = script["drawn"](videos)
    shuffled = script["shuffled"](frame)
    assert (shuffled.groupby("group")["label"].sum() == 1).all()
    exchanged = (shuffled["label"] != frame["label"]).groupby(frame["group"]).all()
    assert 0 < exchanged.sum() < len(exchanged)
    assert ((shuffled["method"] == "DFDC") == (shuffled["label"] == 1)).all()
