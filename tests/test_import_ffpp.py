"""The importers of FaceForensics++."""

from pathlib import Path

import pytest
from helpers.datasets import manifest_rows, touch_files, write_file

from sfic_bench.data.importers import BadLayout, import_dataset


@pytest.fixture
def ffpp(tmp_path: Path) -> Path:
    folder = tmp_path / "ff"
    write_file(folder, "train.json", [["071", "054"]])
    write_file(folder, "val.json", [["100", "101"]])
    write_file(folder, "test.json", [["200", "201"]])
    touch_files(
        folder,
        "original_sequences/youtube/c23/frames/071/0000.png",
        "original_sequences/youtube/c23/frames/071/0002.png",
        "original_sequences/youtube/c23/frames/101/0000.png",
        "original_sequences/youtube/c23/videos/071.mp4",
        "manipulated_sequences/Deepfakes/c23/frames/071_054/0000.png",
        "manipulated_sequences/FaceSwap/c23/frames/054_071/0000.png",
        "manipulated_sequences/FaceSwap/c40/frames/201_200/0000.png",
        "manipulated_sequences/FaceSwap/c40/frames/201_200/.0002.png.x7",  # being written
        "manipulated_sequences/FaceSwap/c23/masks/201_200/0000.png",
        "original_sequences/actors/c23/frames/01__hugging_happy/0000.png",
        "manipulated_sequences/DeepFakeDetection/c23/frames/01_02__hugging_happy__YVGY8LOK/0000.png",
    )
    return folder


def test_ffpp_by_its_official_split(ffpp: Path) -> None:
    real, fake = "original_sequences/youtube/c23/frames", "manipulated_sequences"
    dfd = "01_02__hugging_happy__YVGY8LOK"
    assert manifest_rows(import_dataset("ffpp", ffpp)) == {
        (f"{real}/071/0000.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        (f"{real}/071/0002.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        (f"{real}/101/0000.png", 0, "FF++", "", "youtube/c23/101", "val", "c23"),
        (f"{fake}/Deepfakes/c23/frames/071_054/0000.png", 1, "FF++", "Deepfakes",
         "Deepfakes/c23/071_054", "train", "c23"),
        (f"{fake}/FaceSwap/c23/frames/054_071/0000.png", 1, "FF++", "FaceSwap", "FaceSwap/c23/054_071", "train", "c23"),
        (f"{fake}/FaceSwap/c40/frames/201_200/0000.png", 1, "FF++", "FaceSwap", "FaceSwap/c40/201_200", "test", "c40"),
        ("original_sequences/actors/c23/frames/01__hugging_happy/0000.png", 0, "DFD", "",
         "actors/c23/01__hugging_happy", "test", "c23"),
        (f"{fake}/DeepFakeDetection/c23/frames/{dfd}/0000.png", 1, "DFD", "DeepFakeDetection",
         f"DeepFakeDetection/c23/{dfd}", "test", "c23"),
    }  # fmt: skip


def test_ffpp_split_files_may_be_in_a_folder(ffpp: Path) -> None:
    before = manifest_rows(import_dataset("ffpp", ffpp))
    (ffpp / "splits").mkdir()
    for split in ("train", "val", "test"):
        (ffpp / f"{split}.json").rename(ffpp / "splits" / f"{split}.json")
    assert manifest_rows(import_dataset("ffpp", ffpp)) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("val.json", [["100", "071"]], "val.json: 071 is in train.json, too"),
        (
            "val.json",
            [["100"]],
            'expected pairs such as ["071", "054"]; Expected `array` of length 2',
        ),
        ("val.json", {"100": "101"}, "Expected `array`, got `object`"),
        ("val.json", "[", "val.json is no JSON"),
        ("test.json", [["300", "301"]], "no split file has 201_200"),
    ],
)
def test_ffpp_bad_splits(ffpp: Path, name: str, content: object, message: str) -> None:
    write_file(ffpp, name, content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("ffpp", ffpp)
    assert message in str(caught.value)


def test_ffpp_without_splits_or_frames(ffpp: Path, tmp_path: Path) -> None:
    (ffpp / "test.json").unlink()
    with pytest.raises(BadLayout, match=r"lacks test\.json"):
        import_dataset("ffpp", ffpp)
    with pytest.raises(BadLayout, match="neither original_sequences nor manipulated_sequences"):
        import_dataset("ffpp", tmp_path)
    with pytest.raises(BadLayout, match="there is no folder"):
        import_dataset("ffpp", tmp_path / "nowhere")
