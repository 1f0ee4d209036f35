"""The importers of HFF, of the released code's lists, and of DeepfakeBench."""

from pathlib import Path

import pytest
from helpers.command import run_command
from helpers.datasets import manifest_rows, touch_files, write_file

from sfic_bench.data.importers import BadLayout, import_dataset
from sfic_bench.data.manifest import read_manifest
from sfic_bench.errors import InvalidValue


def test_hff_by_folders(tmp_path: Path) -> None:
    touch_files(tmp_path, "train/fake/StyleGAN/1.png", "train/real/FFHQ/1.png", "val/fake/2.png")
    assert manifest_rows(import_dataset("hff", tmp_path)) == {
        ("train/fake/StyleGAN/1.png", 1, "HFF", "StyleGAN", "train/fake/StyleGAN/1", "train", ""),
        ("train/real/FFHQ/1.png", 0, "HFF", "", "train/real/FFHQ/1", "train", ""),
        ("val/fake/2.png", 1, "HFF", "unknown", "val/fake/2", "val", ""),
    }
    assert len(import_dataset("hff", tmp_path)) == 3
    touch_files(tmp_path / "b", "fake/1.png", "real/1.png")
    with pytest.raises(BadLayout, match="no folders for splits"):
        import_dataset("hff", tmp_path / "b")


def test_hff_lists_have_fake_0(tmp_path: Path) -> None:
    write_file(tmp_path, "train.txt", "train/fake/1.png 0\ntrain/real/a b.png 1\n")
    write_file(tmp_path, "HFF_test.txt", "x/3.png 0\n")
    write_file(tmp_path, "readme.txt", "not a list")
    assert manifest_rows(import_dataset("hff", tmp_path)) == {
        ("train/fake/1.png", 1, "HFF", "unknown", "train/fake/1", "train", ""),
        ("train/real/a b.png", 0, "HFF", "", "train/real/a b", "train", ""),
        ("x/3.png", 1, "HFF", "unknown", "x/3", "test", ""),
    }
    write_file(tmp_path, "train.txt", "train/fake/1.png 1\n")
    with pytest.raises(BadLayout, match="line 1: label 1 means real here, since fake is 0"):
        import_dataset("hff", tmp_path)


def test_released_lists_need_their_polarity(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    write_file(
        folder,
        "ff_train.txt",
        "Deepfakes/c40/071_054/1.png 1\nDeepfakes/c40/071_054/2.png 1\nyoutube\\c40\\071\\1.png 0\n",
    )
    write_file(folder, "ff_val.txt", "real/3.png 0\nreal/3.png 0\n/data/9/4.png 1\n")
    with pytest.raises(InvalidValue, match="--fake-label 0 or 1"):
        import_dataset("released", folder)
    frame = import_dataset("released", folder, fake_label=1)
    assert manifest_rows(frame) == {
        ("Deepfakes/c40/071_054/1.png", 1, "lists", "Deepfakes", "Deepfakes/c40/071_054", "train", "c40"),
        ("Deepfakes/c40/071_054/2.png", 1, "lists", "Deepfakes", "Deepfakes/c40/071_054", "train", "c40"),
        ("youtube/c40/071/1.png", 0, "lists", "", "youtube/c40/071", "train", "c40"),
        ("real/3.png", 0, "lists", "", "real/3", "val", ""),
        ("/data/9/4.png", 1, "lists", "unknown", "/data/9", "val", ""),
    }
    assert frame.attrs["notes"] == ["1 lines repeat an image and were left out"]
    with pytest.raises(BadLayout, match=r"ff_val.txt, line 1: label 0 means fake here, since fake is 0"):
        import_dataset("released", folder, fake_label=0)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.txt": "a.png 2"}, "line 1: expected 'PATH LABEL' with a label 0 or 1, got 'a.png 2'"),
        ({"train.txt": "a.png"}, "got 'a.png'"),
        ({"train.txt": "a.png 1\n\na.png 0"}, "train.txt, line 3: a.png is also in"),
        ({"train.txt": "a.png 1", "test.txt": "a.png 1"}, "by another split or label"),
        ({"train_test.txt": "a.png 1"}, "more than one of train, val, test"),
        ({"list.txt": "a.png 1"}, "has no lists"),
        ({"train.txt": ""}, "no images where released keeps them"),
    ],
)
def test_released_bad_lists(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        write_file(tmp_path, name, content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("released", tmp_path, fake_label=1)
    assert message in str(caught.value)


def bench(label: str, *frames: str, masks: tuple[str, ...] = ()) -> dict[str, object]:
    return {"label": label, "frames": list(frames), "masks": list(masks)}


def test_deepfakebench_masks(tmp_path: Path) -> None:
    fake = bench("FF-DF", "f/1.png", "f/0.png", masks=("m\\0.png",))
    real = bench("FF-real", "r/0.png", masks=("m/0.png",))
    write_file(tmp_path, "in/x.json", {"FF-DF": {"FF-DF": {"train": {"a": fake}}, "FF-real": {"train": {"b": real}}}})
    run_command("data", "import", "deepfakebench", str(tmp_path / "in"), "-o", str(tmp_path / "x.csv"))
    frame = read_manifest(tmp_path / "x.csv").frame
    assert dict(zip(frame["path"], frame["mask"], strict=True)) == {
        "in/f/0.png": "in/m/0.png", "in/f/1.png": "", "in/r/0.png": ""
    }  # fmt: skip


def test_deepfakebench(tmp_path: Path) -> None:
    real = {
        "train": {"c23": {"071": bench("FF-real", "r\\071\\0.png")}},
        "val": {"c23": {}},
        "test": {"c40": {}},
    }
    fake = {
        "train": {"c23": {"071_054": bench("FF-DF", "d/071_054/1.png", "d/071_054/0.png")}},
        "val": {},
        "test": {},
    }
    write_file(tmp_path, "FF-DF.json", {"FF-DF": {"FF-real": real, "FF-DF": fake}})
    write_file(tmp_path, "FF-F2F.json", {"FF-F2F": {"FF-real": real}})  # the same real videos once more
    one, two = bench("CelebDFv2_fake", "c/one/0.png"), bench("CelebDFv2_fake", "c/two/0.png")
    write_file(tmp_path, "Celeb-DF-v2.json", {"Celeb-DF-v2": {
        "CelebDFv2_fake": {"train": {"one": one, "two": two}, "val": {"two": two}, "test": {"two": two}},
    }})  # fmt: skip
    write_file(tmp_path, "DFDC.json", {"DFDC": {"DFDC_Real": {"test": {"x": bench("DFDC_Real", "x/0.png")},
                                                         "val": bench("DFDC_Real", "x/0.png")}}})  # fmt: skip
    touch_files(tmp_path, "rgb/c/one/0.png")  # the first image by file and name
    frame = import_dataset("deepfakebench", tmp_path)
    assert manifest_rows(frame) == {
        ("rgb/r/071/0.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        ("rgb/d/071_054/0.png", 1, "FF++", "Deepfakes", "Deepfakes/c23/071_054", "train", "c23"),
        ("rgb/d/071_054/1.png", 1, "FF++", "Deepfakes", "Deepfakes/c23/071_054", "train", "c23"),
        ("rgb/c/one/0.png", 1, "Celeb-DF v2", "Celeb-synthesis", "Celeb-synthesis/one", "train", ""),
        ("rgb/c/two/0.png", 1, "Celeb-DF v2", "Celeb-synthesis", "Celeb-synthesis/two", "test", ""),
        ("rgb/x/0.png", 0, "DFDC", "", "DFDC_Real/x", "test", ""),
    }
    assert frame.attrs["notes"] == ["2 videos are in several splits; test keeps them, else train"]
    assert len(import_dataset("deepfakebench", tmp_path / "FF-F2F.json")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"D": {"mystery": {"train": {}}}}, "class 'mystery' does not say whether it is real or fake"),
        ({"D": {"X_fake": {"training": {}}}}, "train, val or test → video; Invalid enum value 'training'"),
        ({"D": {"X_fake": {"train": {"v": {"label": "X_fake"}}}}}, "D, X_fake, train: expected videos with frames"),
        ({"D": ["X_fake"]}, "Expected `object`, got `array`"),
        ({"D": {"X_fake": {"train": {}}}}, "no images where deepfakebench keeps them"),
    ],
)
def test_deepfakebench_bad_files(tmp_path: Path, content: object, message: str) -> None:
    write_file(tmp_path, "a.json", content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("deepfakebench", tmp_path)
    assert message in str(caught.value)
    with pytest.raises(BadLayout, match="has no JSON files"):
        (tmp_path / "a.json").unlink()
        import_dataset("deepfakebench", tmp_path)
