"""The importers of Celeb-DF and DFDC."""

from pathlib import Path

import pytest
from helpers.datasets import manifest_rows, touch_files, write_file

from sfic_bench.data.importers import BadLayout, import_dataset


def test_celebdf(tmp_path: Path) -> None:
    folder = tmp_path / "Celeb-DF-v2"
    write_file(
        folder,
        "List_of_testing_videos.txt",
        "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id1_id0_0003.mp4\n\n",
    )
    touch_files(
        folder,
        "Celeb-real/frames/id0_0000/1.jpg",
        "YouTube-real/00170/1.jpg",
        "YouTube-real/00001/1.jpg",
        "Celeb-synthesis/id1_id0_0003/1.jpg",
        "Celeb-synthesis/id1_id0_0003/2.jpg",
        "Celeb-synthesis/id1_id0_0007/1.jpg",
    )
    (folder / "Celeb-synthesis" / "id1_id0_0009").mkdir()
    frame = import_dataset("celebdf", folder)
    fake, name = "Celeb-synthesis", "Celeb-DF v2"
    assert manifest_rows(frame) == {
        ("Celeb-real/frames/id0_0000/1.jpg", 0, name, "", "Celeb-real/id0_0000", "train", ""),
        ("YouTube-real/00170/1.jpg", 0, name, "", "YouTube-real/00170", "test", ""),
        ("YouTube-real/00001/1.jpg", 0, name, "", "YouTube-real/00001", "train", ""),
        (f"{fake}/id1_id0_0003/1.jpg", 1, name, fake, f"{fake}/id1_id0_0003", "test", ""),
        (f"{fake}/id1_id0_0003/2.jpg", 1, name, fake, f"{fake}/id1_id0_0003", "test", ""),
        (f"{fake}/id1_id0_0007/1.jpg", 1, name, fake, f"{fake}/id1_id0_0007", "train", ""),
    }
    assert frame.attrs["notes"] == ["1 videos have no frames, the first Celeb-synthesis/id1_id0_0009"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "0 YouTube-real/00170.mp4",
            "line 1: flag 0, where 1 means real, contradicts the folder YouTube-real",
        ),
        ("1 Celeb-synthesis/id1_id0_0003.mp4", "contradicts the folder Celeb-synthesis"),
        ("YouTube-real/00170.mp4", "expected such as '1 YouTube-real/00170.mp4'"),
        ("1 elsewhere/00170.mp4", "got '1 elsewhere/00170.mp4'"),
    ],
)
def test_celebdf_polarity_is_checked(tmp_path: Path, line: str, message: str) -> None:
    touch_files(tmp_path, "Celeb-real/id0_0000/1.jpg")
    write_file(tmp_path, "List_of_testing_videos.txt", line)
    with pytest.raises(BadLayout) as caught:
        import_dataset("celebdf", tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "lines", "name"),
    [("a", 100, "Celeb-DF v1"), ("a", 518, "Celeb-DF v2"), ("a", 3, "Celeb-DF"), ("celeb_v1", 3, "Celeb-DF v1")],
)
def test_celebdf_versions(tmp_path: Path, folder: str, lines: int, name: str) -> None:
    touch_files(tmp_path / folder, "Celeb-real/id0_0000/1.jpg")
    write_file(
        tmp_path / folder,
        "List_of_testing_videos.txt",
        "".join(f"1 Celeb-real/id9_{i:04}.mp4\n" for i in range(lines)),
    )
    assert set(import_dataset("celebdf", tmp_path / folder)["dataset"]) == {name}


def test_dfdc(tmp_path: Path) -> None:
    write_file(tmp_path, "dfdc_train_part_0/metadata.json", {
        "aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
        "bbb.mp4": {"label": "REAL", "split": "train"},
    })  # fmt: skip
    write_file(tmp_path, "test/labels.csv", "filename,label\nccc.mp4,1\nddd.mp4,0\n")
    write_file(tmp_path, "test/metadata.json", {"ccc.mp4": {"is_fake": 1}})
    touch_files(
        tmp_path,
        "dfdc_train_part_0/frames/aaa/0.png",
        "dfdc_train_part_0/bbb/0.png",
        "test/frames/ccc/0.png",
        "test/frames/ddd/0.png",
    )
    assert manifest_rows(import_dataset("dfdc", tmp_path)) == {
        ("dfdc_train_part_0/frames/aaa/0.png", 1, "DFDC", "unknown", "dfdc_train_part_0/aaa", "train", ""),
        ("dfdc_train_part_0/bbb/0.png", 0, "DFDC", "", "dfdc_train_part_0/bbb", "train", ""),
        ("test/frames/ccc/0.png", 1, "DFDC", "unknown", "test/ccc", "test", ""),
        ("test/frames/ddd/0.png", 0, "DFDC", "", "test/ddd", "test", ""),
    }


def test_dfdc_preview(tmp_path: Path) -> None:
    write_file(tmp_path, "dataset.json", {
        "method_A/12/34/12_34_1_0.mp4": {"label": "fake", "set": "train"},
        "original_videos/12/12_A_001.mp4": {"label": "real", "set": "test"},
    })  # fmt: skip
    touch_files(tmp_path, "method_A/12/34/frames/12_34_1_0/0.png", "original_videos/12/frames/12_A_001/0.png")
    name, fake = "DFDC preview", "method_A/12/34"
    assert manifest_rows(import_dataset("dfdc", tmp_path)) == {
        (f"{fake}/frames/12_34_1_0/0.png", 1, name, "method_A", f"{fake}/12_34_1_0", "train", ""),
        ("original_videos/12/frames/12_A_001/0.png", 0, name, "", "original_videos/12/12_A_001", "test", ""),
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "metadata.json",
            {"a.mp4": {"label": "fake"}},
            "the label of a.mp4 must be one of REAL, FAKE, got 'fake'",
        ),
        ("metadata.json", {"a.mp4": {"label": "FAKE", "split": "x"}}, "the split of a.mp4 must be one of"),
        ("metadata.json", {"../a.mp4": {"label": "FAKE"}}, "got '../a.mp4'"),
        ("metadata.json", ["a.mp4"], "expected a JSON object"),
        ("labels.csv", "file,label\na.mp4,1\n", "expected the columns filename and label, got file, label"),
        ("labels.csv", "filename,label\na.mp4,FAKE\n", "must be one of 0, 1, got 'FAKE'"),
        ("dataset.json", {"a/b.mp4": {"label": "FAKE", "set": "train"}}, "must be one of real, fake, got 'FAKE'"),
        ("readme.txt", "", "has no labels"),
    ],
)
def test_dfdc_bad_labels(tmp_path: Path, name: str, content: object, message: str) -> None:
    write_file(tmp_path, name, content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("dfdc", tmp_path)
    assert message in str(caught.value)


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    write_file(tmp_path, "labels.csv", f"filename,label\n{'a' * 300}.mp4,1\n")
    with pytest.raises(BadLayout, match="File name too long"):
        import_dataset("dfdc", tmp_path)
