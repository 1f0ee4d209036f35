"""Folders with other classes than real and fake, groups of images, and splits that keep groups whole."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.command import run_command
from helpers.datasets import manifest_rows, touch_files
from hypothesis import given
from hypothesis import strategies as st

from sfic_bench.data.importers import BadLayout, import_dataset
from sfic_bench.data.importers.grouping import SeededSplit, divided, groups_in
from sfic_bench.data.manifest import read_manifest
from sfic_bench.errors import InvalidValue, UnknownName

HALF_TRAIN = SeededSplit(shares=(0.5, 0.25, 0.25))


def test_classes_have_the_names_that_are_given(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    touch_files(folder, "train/Original/1.png", "train/Deepfakes/v/1.png", "test/FaceSwap/1.png", "test/other/1.png")
    frame = import_dataset("folder", folder, real=["original"], fake=["deepfakes", "faceswap"])
    assert manifest_rows(frame) == {
        ("train/Original/1.png", 0, "mine", "", "train/original/1", "train", ""),
        ("train/Deepfakes/v/1.png", 1, "mine", "Deepfakes", "deepfakes/v", "train", ""),
        ("test/FaceSwap/1.png", 1, "mine", "FaceSwap", "test/faceswap/1", "test", ""),
    }
    with pytest.raises(BadLayout, match="neither photo and fake in it"):
        import_dataset("folder", folder, real=["photo"])
    with pytest.raises(InvalidValue, match="the class a is both real and fake"):
        import_dataset("folder", folder, real=["A"], fake=["a"])


def test_folders_in_a_class_can_be_methods(tmp_path: Path) -> None:
    touch_files(tmp_path, "real/1.png", "fake/swap/1.png", "fake/swap/2.png")
    frame = import_dataset("folder", tmp_path, folders="methods")
    assert list(zip(frame["method"], frame["video"], strict=True)) == [
        ("swap", "test/fake/swap/1"), ("swap", "test/fake/swap/2"), ("", "test/real/1")
    ]  # fmt: skip
    with pytest.raises(UnknownName, match="did you mean 'methods'"):
        import_dataset("folder", tmp_path, folders="method")


def test_no_person_is_in_two_splits(tmp_path: Path) -> None:
    people = [f"{person:03}" for person in range(20)]
    real = [f"real/{person}/{frame}.png" for person in people for frame in range(3)]
    # Of each fake the face is of the next person of the same ten.
    fake = [f"fake/{a}_{people[i // 2 * 2 + 1 - i % 2]}/0.png" for i, a in enumerate(people)]
    touch_files(tmp_path / "in", *real, *fake)
    pattern, manifest = r"/(\d{3})(?:_(\d{3}))?/", tmp_path / "in" / "m.csv"
    call = ("data", "import", "folder", tmp_path / "in", "-o", manifest, "--group", pattern, "--fractions", ".6,.2,.2")
    status, _, err = run_command(*call)
    assert status == 0 and "(train 48, val 16, test 16)" in err.replace("test 16, val 16", "val 16, test 16"), err
    frame = read_manifest(manifest).frame
    assert (frame.groupby("group")["split"].nunique() == 1).all() and frame["group"].nunique() == 10
    assert (frame.groupby("split")["label"].nunique() == 2).all()
    again = frame.copy()
    assert run_command(*call)[0] == 0 and again.equals(read_manifest(manifest).frame)
    assert run_command(*call, "--seed", "8")[0] == 0 and not again.equals(read_manifest(manifest).frame)
    status, out, _ = run_command("data", "check", manifest, "--no-read", "--format", "json")
    assert '"identity"' not in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": "(x"}, "is no regular expression"),
        ({"group": "nobody"}, "finds nothing in fake/1.png"),
        ({"fractions": HALF_TRAIN}, "2 groups of images are too few for train to have 0.5 of them"),
        ({"fractions": HALF_TRAIN, "split": "train"}, "leave one out"),
        ({"images": Path("x")}, "--images is not for folder"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    touch_files(tmp_path, "fake/1.png", "real/1.png")
    with pytest.raises(InvalidValue, match=words):
        import_dataset("folder", tmp_path, **options)
    (tmp_path / "fake").rename(tmp_path / "fakes")
    touch_files(tmp_path, "train/fake/1.png")
    (tmp_path / "real").rename(tmp_path / "train" / "real")
    with pytest.raises(BadLayout, match="leave out --fractions"):
        import_dataset("folder", tmp_path, fractions=HALF_TRAIN)


@pytest.mark.parametrize("shares", ["1", "a,b,c", ".5,.5,.5", "-1,1,1", "nan,0,1"])
def test_shares_that_are_none(tmp_path: Path, shares: str) -> None:
    touch_files(tmp_path, "fake/1.png", "real/1.png")
    status, _, err = run_command("data", "import", "folder", tmp_path, "-o", tmp_path / "m.csv", "--fractions", shares)
    assert status == 2 and err.count("\n") == 1 and not (tmp_path / "m.csv").exists()


def test_names_that_occur_together_are_one_group() -> None:
    assert groups_in(["a_b", "c_d", "b_c", "e_f"], "(.)_(.)") == ["a", "a", "a", "e"]
    assert groups_in(["x1", "y1"], r"\d") == ["1", "1"]


@given(sizes=st.lists(st.integers(1, 5), min_size=12, max_size=60), seed=st.integers(0, 100), labels=st.integers(0, 2))
def test_shares_are_met_to_within_a_group(sizes: list[int], seed: int, labels: int) -> None:
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    rows = {"video": groups, "group": groups, "label": [labels % 2] * len(groups), "split": "train"}
    frame = divided(pd.DataFrame(rows), SeededSplit(shares=(0.5, 0.25, 0.25), seed=seed))
    assert (frame.groupby("group")["split"].nunique() == 1).all()
    for name, share in (("train", 0.5), ("val", 0.25), ("test", 0.25)):
        assert abs((frame["split"] == name).sum() - share * len(frame)) <= max(sizes)
